"""The cost of the service by size of the database and number of workers: `make bench-scale`."""
