"""`python -m epo plot RUN...`: learning curves of runs, grouped by seeds."""
