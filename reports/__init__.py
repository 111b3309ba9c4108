"""Pages out of what the catalog says: what was kept, what was dropped, and why."""
