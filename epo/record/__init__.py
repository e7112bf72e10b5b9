"""Recording: what a run tells the researcher, on the screen and in files."""
