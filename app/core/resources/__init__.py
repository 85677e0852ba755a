"""Resources: the decorators of routes, the order of a request, and rows in and out of tables.

Here: what every feature's routes are built from, from pagination to batches and the audit log.
Not here: the OpenAPI document (`app.core.openapi`), single header fields (`app.core.web`).
"""
