"""The commands of `python -m sparse_transformers`, one file each."""
