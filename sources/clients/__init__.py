"""The clients of package indexes, archives and hubs, and what they bring."""
