"""`make upgrade`: merge a release of upstream into a clone. docs/upgrading.md describes it."""
