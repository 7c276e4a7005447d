"""Questions that the library answers by experiment: one module computes, one draws, one tells."""

from sparse_transformers.utils.runtime import forget_missing_backend

forget_missing_backend()
