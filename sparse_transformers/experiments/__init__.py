"""Questions that the library answers by experiment: one module computes, one draws, one tells."""
