"""How fast the service is, measured beside others: `make bench`, `make bench-check`."""
