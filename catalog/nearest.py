"""What to say of a name that nobody knows."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

SHOWN = 20  # names that a message lists: about five lines of a terminal


def nearest(asked: str, known: Collection[str]) -> str:
    """`did you mean X?` where a known name is near, else `there are a, b, c`: the first `SHOWN`."""
    near = get_close_matches(asked, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    shown = ", ".join(sorted(known)[:SHOWN]) or "none"
    return f"there are {shown}" + (f" and {more} more" if (more := len(known) - SHOWN) > 0 else "")
