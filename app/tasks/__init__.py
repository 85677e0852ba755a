"""Tasks: private to their owner."""
