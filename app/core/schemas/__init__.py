"""Marshmallow schemas and fields, and how data is loaded and serialised with them.

Nothing here knows of HTTP or of a database: what is not valid is a `marshmallow.ValidationError`.
"""
