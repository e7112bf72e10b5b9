"""The documentation; `docs.website` makes a site of it."""
