"""What attention costs: counted from the rule, and measured side by side."""
