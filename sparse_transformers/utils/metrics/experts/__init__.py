"""How experts share the work, and what they specialise in."""
