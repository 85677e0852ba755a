"""`flask new resource` makes a feature of a tested example; `flask remove feature` removes one."""
