"""Callers, access rules and keys. How a caller logs in belongs to `app.auth`."""
