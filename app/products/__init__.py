"""Products: the shared catalogue."""
