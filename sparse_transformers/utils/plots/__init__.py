"""Figures drawn from numbers that were computed elsewhere: axes in, axes out, nothing saved."""
