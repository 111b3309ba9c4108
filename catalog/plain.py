"""What plain data is."""

from __future__ import annotations

from typing import Any

Json = Any
"""What `json.dumps` takes: dict, list, str, int, float, bool, None."""
