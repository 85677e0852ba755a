"""The OpenAPI document, written from what the decorators of the routes declare."""
