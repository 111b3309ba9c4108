"""The card of a model of languages: what it was trained on, and what it takes for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from phloem.catalog.tags import primary
from phloem.filters import passages
from phloem.filters.language_models import answers, load
from phloem.pipeline.langid.corpus import Corpus
from phloem.pipeline.langid.texts import Text, capped, pieces
from phloem.pipeline.langid.train import Settings, Trained
from phloem.sources.cards.source import Source

LEAST_CHARS, MOST_CHARS = 200, 400
"""Of a piece that the card counts confusions by: 300 in the mean."""

_OF_SOURCE, _OF_LANGUAGE = 20_000, 40_000  # UTF-8 bytes of pieces that are looked at
_OFTEN = 0.01  # of a language's pieces, from which on what they are taken for is told


def confusions(model: Path, held_out: Iterable[Text]) -> dict[str, Counter[str]]:
    """What a model takes held-out pieces for: by the language that they are in.

    Args:
        model: Its file.
        held_out: Texts with labels as their languages.
    """
    chosen = capped(pieces(held_out, LEAST_CHARS, MOST_CHARS), _OF_SOURCE, _OF_LANGUAGE)
    lines = passages.words(pa.array([piece.text for piece in chosen], pa.large_string()))
    loaded = load(str(model))
    vectors, _ = loaded.classifier.vectors(lines)
    found = answers(loaded, vectors, passages.read(lines).text_scripts).labels.tolist()
    counts: dict[str, Counter[str]] = {}
    for piece, number in zip(chosen, found, strict=True):
        answer = primary(loaded.tags[number]) if number >= 0 else "und"
        counts.setdefault(primary(piece.language), Counter())[answer] += 1
    return dict(sorted(counts.items()))


def card(
    name: str,
    trained: Trained,
    settings: Settings,
    corpus: Corpus,
    taken_for: dict[str, Counter[str]],
    command: str,
) -> str:
    """The card of a model.

    Args:
        name: Of its file.
        trained: What was trained, and of what.
        settings: How.
        corpus: Whose sources the licences are of.
        taken_for: What `confusions` gives.
        command: That makes the model again.
    """
    sources = sorted({source for own in trained.held.values() for source in own})
    right = sum(counts[label] for label, counts in taken_for.items())
    looked_at = sum(counts.total() for counts in taken_for.values())
    said = ", ".join(f"`{key}` {value}" for key, value in asdict(settings).items())
    lines = f"""# {name}

A fastText model that tells {len(trained.held)} languages, trained on what package indexes hold of
the registry: prose, declarations, and most of all what programs say.

- sha256: `{trained.sha256}`
- made by: `{command}`: the same bytes from the same pins, with one build of fastText
- settings: {said}
- text: as the op `language` reads it: words alone, in lower case
- held out: {looked_at} pieces of {LEAST_CHARS}–{MOST_CHARS} characters, out of sources that train
  nothing in their language; of these it names {right} rightly, with no declaration""".split("\n")
    if trained.left_out:
        few = ", ".join(f"{label} {size}" for label, size in trained.left_out.items())
        lines.append(f"- no label for want of text (bytes): {few}")
    lines += ["", "## Sources", ""]
    lines += ["| source | licence | languages | kB |", "| --- | --- | --- | --- |"]
    for source in sources:
        sizes = [of_source[source] for of_source in trained.held.values() if source in of_source]
        licence = _licence(corpus.registry.cards[source])
        lines.append(f"| `{source}` | {licence} | {len(sizes)} | {sum(sizes) / 1000:.0f} |")
    lines += ["", "## Languages", ""]
    lines += ["| label | kB | from | held out: right, of pieces; taken for |"]
    lines += ["| --- | --- | --- | --- |"]
    for label, own in trained.held.items():
        origins = ", ".join(f"{source} {size / 1000:.0f}" for source, size in own.items())
        told = _told(primary(label), taken_for.get(primary(label), Counter()))
        lines.append(f"| {label} | {sum(own.values()) / 1000:.0f} | {origins} | {told} |")
    return "\n".join(lines) + "\n"


def _licence(source: Source) -> str:
    """What holds for its texts: where its packages have their own licences, these."""
    packages = source.access.params.get("packages")
    each = packages.values() if isinstance(packages, dict) else []
    own = {str(package["license"]) for package in each if isinstance(package, dict)}
    return ", ".join(sorted(own)) or source.license.spdx


def _told(label: str, counts: Counter[str]) -> str:
    total = counts.total()
    if not total:
        return ""
    often = [
        f"{other} {count}"
        for other, count in counts.most_common()
        if other != label and count >= max(_OFTEN * total, 2)
    ]
    return f"{counts[label]} of {total}" + ("; " + ", ".join(often) if often else "")
