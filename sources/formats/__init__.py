"""The forms of files: packed, archived, JSON Lines, tables, XML, web archives."""
