"""Claims and questions: published ones from files, and synthetic ones with known ceilings."""
