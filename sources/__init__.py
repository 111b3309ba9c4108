"""Where text comes from: cards, what is locked of them, and connectors that read them."""
