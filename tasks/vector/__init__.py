"""Batched environments of others: anything that steps N environments at once."""
