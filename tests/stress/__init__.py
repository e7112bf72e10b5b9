"""Stress experiments behind docs/reliability.md; `make stress` runs them, pytest does not."""
