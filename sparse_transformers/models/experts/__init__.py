"""Mixture of experts: routers, what they decide, the losses that balance them, and the layer."""
