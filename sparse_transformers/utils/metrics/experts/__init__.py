"""Measures of experts: how even their load is, and which classes of tokens they specialize in."""
