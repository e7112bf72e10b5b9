"""`python -m epo play`: agents of a run, or any task, as a video or a picture."""
