"""`python -m epo study <name>`: all runs of a comparison, and the page about them."""
