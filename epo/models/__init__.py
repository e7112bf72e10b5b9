"""Networks: the gene-conditioned actor-critic, its action distribution and its normalisers."""
