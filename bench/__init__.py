# begin products tasks
"""Benchmarks of the service and of other frameworks: `make bench`, `make bench-check`."""
# end products tasks
