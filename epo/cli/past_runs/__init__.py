"""`python -m epo runs`: list runs, compare their settings, delete what came to nothing."""
