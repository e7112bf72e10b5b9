"""`python -m epo export`: a trained policy for controllers that know nothing of epo."""
