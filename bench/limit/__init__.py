"""The limit: how fast the same work can be done in Python on the same server."""
