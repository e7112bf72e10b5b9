"""`python -m epo bench <what>`: how fast things run on this machine."""
