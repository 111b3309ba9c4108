"""Texts that come with Phloem, so that a run works without a network."""
