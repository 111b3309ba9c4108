"""What an earlier checkout of the project calls texts, on `PYTHONPATH`.

`IN OUT`: a JSON object with `texts`, the tags `declared` for each, and the `paths` of files that
the op needs; and where a JSON list of each text's language and score goes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROWS = 2000


def answers(texts: list[str], declared: list[list[str]], paths: dict[str, str]) -> list[Any]:
    """Language and score of each text."""
    import pyarrow as pa

    from phloem.filters.op import find_op

    op = find_op("language", {})
    found: list[Any] = []
    for start in range(0, len(texts), ROWS):
        tags = pa.array(declared[start : start + ROWS], pa.list_(pa.string()))
        own = pa.array(texts[start : start + ROWS], pa.string())
        batch = pa.RecordBatch.from_arrays([own, tags], names=["text", "declared_languages"])
        names = [column.name for column in op.writes]
        written = dict(zip(names, op(batch, paths).arrays, strict=True))
        pairs = (written[name].to_pylist() for name in ("language", "language_score"))
        found += zip(*pairs, strict=True)
    return found


if __name__ == "__main__":
    given, out = map(Path, sys.argv[1:])
    asked = json.loads(given.read_text("utf-8"))
    out.write_text(json.dumps(answers(asked["texts"], asked["declared"], asked["paths"])), "utf-8")
