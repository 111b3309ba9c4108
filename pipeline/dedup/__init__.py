"""Signatures outside a run: an index of what was kept, and what a new source would add to it."""
