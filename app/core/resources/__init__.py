"""Resources: blueprint, repository, lists, batches, exports, idempotency, audit log."""
