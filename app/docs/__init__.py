"""Documentation for people: `/docs`, and a page for each problem type.

Here: pages and their assets. Not here: the OpenAPI document (`app.core.openapi`).
"""
