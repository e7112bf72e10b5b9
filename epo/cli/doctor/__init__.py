"""`python -m epo doctor`: what this machine has, and what keeps a run from being well."""
