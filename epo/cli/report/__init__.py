"""`python -m epo report RUN...`: everything about runs on one page that needs no network."""
