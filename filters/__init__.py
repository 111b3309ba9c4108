"""Ops: functions that extract, rewrite and measure text, found by walking this package."""
