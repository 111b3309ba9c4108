"""The chain of datatrove and its verdicts, for a Python that has `datatrove[processing,io]`.

`chain DATA WORK MODEL TOKENIZER` ends with a line of JSON: the documents and tokens that are left.
`judge DATA WORK` writes `WORK/verdicts.jsonl`: id, and the rule of each family that drops it.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

END_OF_DOCUMENT = "<|endoftext|>"
MIN_LANGUAGE_SCORE = 0.3  # what Phloem's recipe asks for; datatrove's own default is 0.65
INDEX_BYTES, TOKEN_BYTES = 8, 2  # of a document's end, and of a token where 65,536 are enough


def chain(data: str, work: str, model: str, tokenizer: str) -> dict[str, int]:
    """Language, Gopher's filters, MinHash in its four stages, personal data and tokens."""
    place_model(model, Path(work) / "assets")
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.filters import (
        GopherQualityFilter,
        GopherRepetitionFilter,
        LanguageFilter,
    )
    from datatrove.pipeline.formatters import PIIFormatter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    def reader(folder: str) -> Any:
        return JsonlReader(folder, glob_pattern="*.jsonl.gz")

    kept, minhash, tokens = f"{work}/kept", f"{work}/minhash", f"{work}/tokens"
    # FineWeb's signature (arXiv 2406.17557, section 3.4)
    config = MinhashConfig(
        hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5
    )
    filters = [
        LanguageFilter(language_threshold=MIN_LANGUAGE_SCORE),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
    ]
    run(work, "filter", [reader(data), *filters, JsonlWriter(kept)])
    run(work, "sign", [reader(kept), MinhashDedupSignature(f"{minhash}/signed", config)])
    buckets = MinhashDedupBuckets(f"{minhash}/signed", f"{minhash}/buckets", config=config)
    run(work, "buckets", [buckets], tasks=config.num_buckets)
    cluster = MinhashDedupCluster(f"{minhash}/buckets", f"{minhash}/remove", config=config)
    run(work, "cluster", [cluster])
    write = DocumentTokenizer(
        tokens, tokenizer, eos_token=END_OF_DOCUMENT, shuffle_documents=False, save_index=True
    )
    drop = MinhashDedupFilter(f"{minhash}/remove")
    run(work, "tokens", [reader(kept), drop, PIIFormatter(), write])
    sizes = {path.suffix: path.stat().st_size for path in Path(tokens).iterdir()}
    return {"documents": sizes[".index"] // INDEX_BYTES, "tokens": sizes[".ds"] // TOKEN_BYTES}


def run(work: str, name: str, steps: list[Any], tasks: int = 1) -> None:
    """Run a pipeline with one worker."""
    from datatrove.executor import LocalPipelineExecutor

    logs = f"{work}/log/{name}"
    LocalPipelineExecutor(steps, tasks=tasks, workers=1, logging_dir=logs).run()


def judge(data: str, work: str) -> None:
    """What each of Gopher's filters, with its defaults, says of every document by itself."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from datatrove.data import Document
    from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter

    families = {
        "Gopher quality": GopherQualityFilter(),
        "Gopher repetition": GopherRepetitionFilter(),
    }
    with Path(work, "verdicts.jsonl").open("w", encoding="utf-8") as out:
        for record in records(data):
            document = Document(text=record["text"], id=record["id"])
            found = {name: broken(family.filter(document)) for name, family in families.items()}
            out.write(json.dumps({"id": record["id"], **found}) + "\n")


def broken(answer: Any) -> str | None:
    """The rule that drops a document: a filter answers with a truth, or with a pair."""
    kept, rule = answer if isinstance(answer, tuple) else (answer, "dropped")
    return None if kept else str(rule)


def place_model(model: str, folder: Path) -> None:
    """Put the language model where datatrove looks before it downloads lid.176.bin."""
    # The library of the cache reads these when it is imported.
    os.environ["HF_ASSETS_CACHE"] = str(folder)
    os.environ["HF_HUB_OFFLINE"] = "1"
    from datatrove.io import strip_protocol
    from datatrove.utils.lid import FT176LID

    place = folder / "datatrove" / "lid" / FT176LID.MODEL_SUBFOLDER
    place.mkdir(parents=True, exist_ok=True)
    name = strip_protocol(FT176LID.MODEL_URL).replace("/", "_")
    shutil.copyfile(model, place / name)
    (place / f"{name}.completed").touch()


def records(data: str) -> Iterator[Any]:
    """The documents of a folder."""
    for path in sorted(Path(data).glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def main(arguments: Sequence[str]) -> int:
    """Do what the first argument names."""
    what, *rest = arguments
    if what == "judge":
        judge(*rest)
    else:
        sys.stdout.write(json.dumps(chain(*rest)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
