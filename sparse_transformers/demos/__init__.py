"""Classes to try in a notebook: attention mechanisms, and a small model with experts."""
