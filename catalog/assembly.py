"""What a release says, put together out of what a run left: once to make it, again to verify it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from phloem.catalog.manifest import Dataset
from phloem.catalog.plain import Json
from phloem.catalog.released import Release, ReleasedSource

STAGES = ("decide", "compose", "tokenizer", "tokenize")  # what a release holds, files and all

_DIGITS = 12  # of the digest, in a name that is made from the contents

# What Markdown takes for more than itself within a line (CommonMark 0.31, 2.4), GitHub's included.
_MARKUP = re.compile(r"[\\`*_\[\]<>~|&#$]")
# An address as such: between < and > nothing of it is Markdown (CommonMark 0.31, 6.5).
_ADDRESS = re.compile(r"https?://[!-;=?-~]+")
# Characters without a glyph, or that reorder what follows (UAX 9, 2): none of them credits anybody.
_HIDDEN = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069]")


def assembled(
    record: Mapping[str, Json],
    datasets: Mapping[str, Dataset],
    licenses: Mapping[str, Mapping[str, int]],
) -> Release:
    """A release without what a user or a policy gives it: name, date, policy, and what says these.

    Args:
        record: Of the run: its recipe, its sources and what it skipped.
        datasets: What it made, by stage.
        licenses: Source -> licence -> kept documents, as the ledger has them.
    """
    skipped, cards = record.get("skipped", {}), record["sources"]
    mix = record["recipe"]["spec"].get("mix") or {}
    documents, tokens = (summed(datasets["tokenize"], each) for each in ("documents", "tokens"))
    sources = tuple(
        ReleasedSource(
            id=id_,
            name=card["name"],
            license=card["license"],
            licenses=licenses.get(id_, {}),
            attribution=card.get("attribution"),
            homepage=card.get("homepage"),
            custodian=card.get("custodian"),
            version=card.get("version"),
            card=card["card"],
            files=tuple(card["files"]),
            documents=documents.get(id_, 0),
            tokens=tokens.get(id_, 0),
        )
        for id_, card in sorted(cards.items())
        if id_ not in skipped
    )
    tokenizer = datasets["tokenizer"].shards[0]
    return Release(
        name="",
        date=None,
        recipe=record["recipe"]["name"],
        recipe_digest=record["recipe"]["digest"],
        policy="",
        policy_digest="",
        checks=(),
        unasked=(),
        sources=sources,
        datasets={s: {"name": d.name, "digest": d.digest} for s, d in datasets.items()},
        tokenizer=tokenizer.file("tokenizer.json").sha256,
        tokenizer_file=tokenizer.path("tokenizer.json"),
        end_token=tokenizer.facts["end_token"],
        end_id=tokenizer.facts["end_id"],
        mix={source.id: float(mix.get(source.id, 1.0)) for source in sources} if mix else {},
        documents=sum(documents.values()),
        tokens=sum(tokens.values()),
        statement=(),
        files={},
        # What a run could not have. Why is in its record: another day it would be told otherwise.
        left_out={id_: cards.get(id_, {}).get("version") for id_ in sorted(skipped)},
    )


def summed(dataset: Dataset, fact: str) -> dict[str, int]:
    """Source -> what its shards counted, in all."""
    total: Counter[str] = Counter()
    for shard in dataset.shards:
        total[shard.facts["source"]] += shard.facts[fact]
    return dict(sorted(total.items()))


def name_of(release: Release) -> str:
    """The name that a release has which was given none: the digits are those of all it says."""
    unnamed = replace(release, name="", statement=(), files={})
    return f"{release.recipe}-{unnamed.to_json()['digest'][:_DIGITS]}"


def is_named_so(release: Release) -> bool:
    """Whether its name reads as one that was made from the contents, whatever its digits."""
    return bool(re.fullmatch(f"{re.escape(release.recipe)}-[0-9a-f]{{{_DIGITS}}}", release.name))


def statement(release: Release) -> tuple[str, ...]:
    """A release in a few plain sentences."""
    counted = f"{release.documents:,} documents and {release.tokens:,} tokens"
    sources = f"{len(release.sources)} source{'s' * (len(release.sources) != 1)}"
    first = (
        f"{release.name} holds {counted} of {sources}, made by the recipe {release.recipe} and"
        f" released under the policy {release.policy}."
    )
    said = [f"Each document ends with the token {release.end_token} ({release.end_id})."]
    if release.left_out:
        said.append(f"Left out, since they were not to be had: {', '.join(release.left_out)}.")
    return (first, *said, *release.unasked)


def attribution(release: Release, told: Callable[[str], str] | None = None) -> bytes:
    """ATTRIBUTION.md: who is to be credited for what a release holds.

    Args:
        release: With its statement.
        told: Makes one line of a card's words; by default one that Markdown shows as it is.
    """
    return _text(_attribution(release, told or shown))


def shown(words: str) -> str:
    """A card's words on one line of Markdown that shows them and makes nothing of them.

    What begins a block stands behind a label, so that only what works within a line is escaped.
    """
    line = _HIDDEN.sub("\ufffd", plain(words))
    return f"<{line}>" if _ADDRESS.fullmatch(line) else _MARKUP.sub(r"\\\g<0>", line)


def plain(words: str) -> str:
    """A card's words on one line, as releases told them whose text was not escaped."""
    return " ".join(words.split())


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _attribution(release: Release, told: Callable[[str], str]) -> Iterator[str]:
    yield f"# {told(release.name)}: where the text comes from"
    yield ""
    yield from map(told, release.statement)
    for source in release.sources:
        yield ""
        yield f"## {told(source.name)}"
        yield ""
        for label, value in (
            ("Credit", source.attribution),
            ("Licence", source.license),
            ("Kept by", source.custodian),
            ("Found at", source.homepage),
            ("Version", source.version),
            ("Documents", f"{source.documents:,}"),
        ):
            if value:
                yield f"- {label}: {told(value)}"
        if set(source.licenses) - {source.license}:
            counts = (f"{count:,} under {told(spdx)}" for spdx, count in source.licenses.items())
            yield f"- Licences of the documents: {', '.join(counts)}"


def sums(datasets: Mapping[str, Dataset]) -> bytes:
    """SHA256SUMS: lines as `sha256sum --check` reads them in the root, sorted by name."""
    files = {
        f"{shard.folder}/{file.name}": file.sha256
        for dataset in datasets.values()
        for shard in dataset.shards
        for file in shard.files
    }
    return _text(f"{digest}  {name}" for name, digest in sorted(files.items()))
