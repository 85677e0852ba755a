"""Marshmallow schemas and fields, and how data is loaded with them. No HTTP, no database."""
