"""`python -m epo eval`: what the agents of a run reach on new episodes."""
