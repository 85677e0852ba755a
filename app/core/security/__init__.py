"""Callers, access rules, derived keys and signatures. How a caller logs in: `app.auth`."""
