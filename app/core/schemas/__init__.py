"""Marshmallow schemas and fields, and how data is loaded and serialised with them.

Neither HTTP nor a database is known here; invalid data raise `marshmallow.ValidationError`.
"""
