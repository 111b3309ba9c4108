"""The registry as a run sees it: cards with pins; files and models, fetched once; its page."""
