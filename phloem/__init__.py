"""Phloem: governed training tokens from hand-chosen text sources."""
