"""How fast the ops, the engine and whole chains are, and what a run of any size would take."""
