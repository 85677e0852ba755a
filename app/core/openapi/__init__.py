"""The OpenAPI document, written from the operations that the decorators of the routes declare.

Here: the record of an operation, the HTTP conventions of each kind of operation, the document.
Not here: how a request is served, which is `app.core.resources`.
"""
