"""The registry as a run sees it: cards with pins; files and models, fetched once, and their splits; its page."""
