"""Deduplication by datatrove in its four stages, for a Python with `datatrove[processing,io]`.

`DATA WORK` writes `WORK/removed.json`: the places of the documents that are taken out.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main(data: str, work: str) -> list[int]:
    """FineWeb's signature (arXiv 2406.17557, section 3.4), buckets, clusters, filter."""
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    def reader() -> Any:
        return JsonlReader(data, glob_pattern="*.jsonl.gz")

    config = MinhashConfig(
        hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5
    )
    removed = f"{work}/removed"
    run(work, "sign", [reader(), MinhashDedupSignature(f"{work}/signed", config)])
    buckets = MinhashDedupBuckets(f"{work}/signed", f"{work}/buckets", config=config)
    run(work, "buckets", [buckets], tasks=config.num_buckets)
    cluster = MinhashDedupCluster(f"{work}/buckets", f"{work}/remove", config=config)
    run(work, "cluster", [cluster])
    drop = MinhashDedupFilter(f"{work}/remove", exclusion_writer=JsonlWriter(removed))
    run(work, "filter", [reader(), drop, JsonlWriter(f"{work}/kept")])
    gone = set(ids(removed))
    return [place for place, id_ in enumerate(ids(data)) if id_ in gone]


def ids(folder: str) -> Iterator[str]:
    """The id of each document of a folder, in order."""
    for path in sorted(Path(folder).glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from (json.loads(line)["id"] for line in lines)


def run(work: str, name: str, steps: list[Any], tasks: int = 1) -> None:
    """Run a pipeline with one worker."""
    from datatrove.executor import LocalPipelineExecutor

    logs = f"{work}/log/{name}"
    LocalPipelineExecutor(steps, tasks=tasks, workers=1, logging_dir=logs).run()


if __name__ == "__main__":
    Path(sys.argv[2], "removed.json").write_text(json.dumps(main(*sys.argv[1:])), encoding="utf-8")
