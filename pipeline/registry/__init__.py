"""The registry as a run sees it: cards with pins; files, splits, models, found once; its page."""
