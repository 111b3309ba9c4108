"""Dataflow: the rules that every Beam graph keeps, and what would be sent."""
