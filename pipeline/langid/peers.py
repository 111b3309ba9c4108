"""What pieces of text are called: by the op `language`, by fastText's library, by other tools."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from phloem.catalog.columns import (
    DECLARED_LANGUAGES,
    LANGUAGE,
    LANGUAGE_SCORE,
    TEXT,
)
from phloem.catalog.plain import Json
from phloem.catalog.store import Store
from phloem.catalog.tags import UNKNOWN, TagError, canonical, primary
from phloem.filters.language_models import LID
from phloem.filters.op import find_op
from phloem.pipeline.bench.chain import PEERS, cpu_of, interpreter, version_of
from phloem.pipeline.registry.models import models

PHLOEM, LIBRARY = "phloem", "lid.176"
PACKAGES = {"pycld2": "pycld2", "lingua": "lingua-language-detector"}
BATCH_ROWS = 2000

# Labels of other makers that are no tag of what they mean.
_MEANT = {"un": UNKNOWN, "xxx": UNKNOWN, "jw": "jv", "no": "nb", "als": "gsw", "nah": "nhn"}


def tag_of(label: str) -> str:
    """The language of a label, as it is compared; `und` for what names none."""
    try:
        return primary(canonical(_MEANT.get(label, label)))
    except TagError:
        return UNKNOWN


def model_paths(store: Store) -> dict[str, str]:
    """Where the files lie that the op needs."""
    found = models(store, [find_op("language", {})], lambda _: None)
    return {name: ref.on_this_machine(store) for name, ref in found.items()}


def own_answers(
    texts: Sequence[str],
    declared: Sequence[Sequence[str]],
    paths: Mapping[str, str],
    among: Sequence[str] = (),
) -> list[tuple[str, float | None]]:
    """Language and score of each text by the op, as a run has it.

    Args:
        texts: Any.
        declared: The tags that are declared for each.
        paths: The op's files.
        among: The only languages that it may answer; none: all.
    """
    op = find_op("language", {"among": list(among)})
    found: list[tuple[str, float | None]] = []
    for start in range(0, len(texts), BATCH_ROWS):
        batch = pa.RecordBatch.from_arrays(
            [
                pa.array(texts[start : start + BATCH_ROWS], TEXT.type),
                pa.array(declared[start : start + BATCH_ROWS], DECLARED_LANGUAGES.type),
            ],
            names=[TEXT.name, DECLARED_LANGUAGES.name],
        )
        written = dict(
            zip([column.name for column in op.writes], op(batch, paths).arrays, strict=True)
        )
        languages, scores = written[LANGUAGE.name], written[LANGUAGE_SCORE.name]
        found += zip(languages.to_pylist(), scores.to_pylist(), strict=True)
    return [(language or UNKNOWN, score) for language, score in found]


def library_answers(texts: Sequence[str], paths: Mapping[str, str]) -> list[str]:
    """The best label of lid.176 by fastText's library for each text as it stands, as a tag."""
    import fasttext

    model = fasttext.load_model(paths[LID.name])
    found, _ = model.predict([" ".join(text.split("\n")) for text in texts])
    return [tag_of(own[0].removeprefix("__label__")) if own else UNKNOWN for own in found]


def library_languages(paths: Mapping[str, str]) -> frozenset[str]:
    """The languages that lid.176 has a label for."""
    import fasttext

    labels = fasttext.load_model(paths[LID.name]).labels
    return frozenset(tag_of(label.removeprefix("__label__")) for label in labels)


def earlier_answers(
    checkout: str,
    texts: Sequence[str],
    declared: Sequence[Sequence[str]],
    paths: Mapping[str, str],
) -> list[tuple[str, float | None]]:
    """What an earlier state of the project answers, by this Python. Raises StageError if it fails.

    Args:
        checkout: Its folder.
        texts: Any.
        declared: The tags that are declared for each.
        paths: The op's files.
    """
    asked = {"texts": list(texts), "declared": [list(tags) for tags in declared], "paths": paths}
    said, _ = _run("phloem", [sys.executable, "phloem_language.py"], asked, checkout)
    return [(language or UNKNOWN, score) for language, score in said]


def peer_languages(tool: str, python: str) -> frozenset[str]:
    """The languages that another maker's tool knows. Raises StageError if a Python has it not."""
    said, _ = _run(tool, [interpreter(tool, python), "language_labels.py", tool], [])
    return frozenset(tag_of(label) for label in said["known"]) - {UNKNOWN}


def peer_answers(tool: str, python: str, texts: Sequence[str]) -> tuple[str, list[str], float]:
    """What another maker's tool answers.

    Args:
        tool: A key of `PACKAGES`.
        python: A Python that has it.
        texts: Any.

    Returns:
        Its name and release; its answers as tags; CPU seconds.

    Raises:
        StageError: the Python has not the tool, or the tool failed.
    """
    release = version_of(PACKAGES[tool], interpreter(tool, python))
    command = [interpreter(tool, python), "language_labels.py", tool]
    said, seconds = _run(tool, command, list(texts))
    return f"{tool} {release}", [tag_of(label) for label in said["labels"]], seconds


def _run(tool: str, command: Sequence[str], asked: Json, path: str = "") -> tuple[Json, float]:
    """Hand JSON to a program of `peers/`; what it says, and its CPU seconds."""
    python, program, *words = command
    with tempfile.TemporaryDirectory(prefix="phloem-") as name:
        given, out = Path(name) / "given.json", Path(name) / "said.json"
        given.write_text(json.dumps(asked), "utf-8")
        whole = [python, str(PEERS / program), *words, str(given), str(out)]
        seconds, _ = cpu_of(tool, whole, Path(name), {"PYTHONPATH": path} if path else {})
        return json.loads(out.read_text("utf-8")), seconds
