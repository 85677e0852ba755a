"""The core: everything that features are built from. It knows no feature."""
