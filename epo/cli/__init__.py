"""Commands: `train.py` and the verbs of `python -m epo`."""
