"""`python -m epo plan`: what a run takes of memory and time, before it is started."""
