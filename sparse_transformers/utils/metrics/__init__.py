"""Measures of classifiers, and how far chance alone could have moved them."""
