"""What to say of a name that nobody knows."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


def nearest(asked: str, known: Collection[str]) -> str:
    """`did you mean X?` where a known name is near, else all that there are."""
    near = get_close_matches(asked, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known)) or 'none'}"
