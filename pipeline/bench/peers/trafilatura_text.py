"""What trafilatura reads of pages, for a Python that has it.

`IN OUT`: a JSON list of pages, and where the JSON list of their texts goes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def texts(pages: list[str]) -> list[str]:
    """The text of each page, as much of it as trafilatura can be told to keep."""
    from trafilatura import extract

    asked = {"include_tables": True, "include_comments": False, "favor_recall": True}
    return [extract(page, **asked) or "" for page in pages]


if __name__ == "__main__":
    given, out = map(Path, sys.argv[1:])
    out.write_text(json.dumps(texts(json.loads(given.read_text("utf-8")))), "utf-8")
