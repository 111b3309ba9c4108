"""What was made, from what, under which licence, and what became of every document."""
