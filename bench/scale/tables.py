"""Tables of figures in Markdown."""

from bench.scale.place import Lines


def table_of(columns: list[str], lines: list[list[str]]) -> Lines:
    """A Markdown table."""
    yield f"| {' | '.join(columns)} |"
    yield f"| --- |{' ---: |' * (len(columns) - 1)}"
    for line in lines:
        yield f"| {' | '.join(line)} |"
