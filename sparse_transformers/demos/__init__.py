"""Classes to try in a notebook: attention mechanisms and experts, small and at once."""
