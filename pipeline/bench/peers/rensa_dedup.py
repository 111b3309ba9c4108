"""Deduplication by rensa, for a Python that has `rensa`: word 5-grams, 14 bands of 8 hashes.

`DATA WORK` writes `WORK/removed.json`: the places of the documents that a document before them is
taken for.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path

NOT_WORDS = re.compile(r"\W+")
PERMUTATIONS, BANDS, NGRAM = 112, 14, 5  # FineWeb's signature (arXiv 2406.17557, section 3.4)
BATCH = 1000  # documents that rensa signs together, by its fastest interface


def main(data: str) -> list[int]:
    """Sign and look up all documents of a folder."""
    import rensa

    index = rensa.RMinHashLSH(threshold=0.75, num_perm=PERMUTATIONS, num_bands=BANDS)
    held: list[list[str]] = []
    removed: list[int] = []
    seen = 0

    def flush() -> None:
        matrix = rensa.RMinHash.digest_matrix_from_token_sets(held, PERMUTATIONS, 42)
        flags = index.insert_matrix_and_query_duplicate_flags(matrix, seen)
        removed.extend(seen + place for place, flag in enumerate(flags) if flag)

    for path in sorted(Path(data).glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                words = NOT_WORDS.split(json.loads(line)["text"].lower())
                count = max(1, len(words) - NGRAM + 1)
                held.append([" ".join(words[at : at + NGRAM]) for at in range(count)])
                if len(held) == BATCH:
                    flush()
                    seen += len(held)
                    held.clear()
    if held:
        flush()
    return removed


if __name__ == "__main__":
    Path(sys.argv[2], "removed.json").write_text(json.dumps(main(sys.argv[1])), encoding="utf-8")
