"""Documentation for people: `/docs`, and a page for each problem type."""
