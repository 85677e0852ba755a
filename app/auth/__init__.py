"""Who a caller is: passwords, sessions, tokens, roles."""
