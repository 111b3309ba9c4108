"""Thresholds: bounds derived from sound text in each language, and what rules drop of it."""
