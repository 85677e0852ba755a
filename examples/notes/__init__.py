"""Notes: private to their owner. A resource as the README's "Add a resource" makes it."""
