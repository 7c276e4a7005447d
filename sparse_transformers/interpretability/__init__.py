"""Instruments that look into a model: what it reads, and what it must not read."""
