"""The limit: the same requests in Python on the same server without a framework."""
