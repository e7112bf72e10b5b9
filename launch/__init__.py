"""Many runs: searches, campaigns, clusters. Used from a checkout, `python -m launch.<tool>`."""
