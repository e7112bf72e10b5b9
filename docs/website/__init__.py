"""The documentation site: `make docs` builds it from docs/, docstrings and settings."""
