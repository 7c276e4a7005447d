"""What a table of texts and labels holds, and what gives the labels away."""
