"""`python -m epo genes RUN`: the genes of a population, and what others could be made of them."""
