"""Credentials of users: login, sessions, tokens, API keys, recovery. Accounts: `app.users`."""
