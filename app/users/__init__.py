"""Accounts, passwords and roles, and their administration. Knows no login: see `app.auth`."""
