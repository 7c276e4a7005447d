"""Claims: tables of them, what may be read of a row, and the classifier that is trained on them."""
