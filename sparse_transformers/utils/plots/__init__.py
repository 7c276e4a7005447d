"""Figures drawn from numbers that were computed elsewhere: axes in, axes out, nothing saved."""

from sparse_transformers.utils.runtime import forget_missing_backend

forget_missing_backend()
