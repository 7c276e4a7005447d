"""Attention patterns, kernels, and the transformer built on them."""
