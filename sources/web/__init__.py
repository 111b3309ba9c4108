"""The open network: requests, downloads, patience, and what hosts say to machines."""
