"""One document's whole story on one screen: from its card to its tokens."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Sequence

from phloem.catalog.columns import (
    LANGUAGE,
    LANGUAGE_MIXED,
    LANGUAGE_SCORE,
    LANGUAGE_SECOND,
    PII_SPANS,
    TEXT_BYTES,
    TEXT_HASH,
)
from phloem.catalog.ledger import KEPT
from phloem.catalog.plain import Json
from phloem.catalog.policy import approval_fault
from phloem.catalog.story import Judged, Story, Twin
from phloem.reports.duplicates import Pair, Side
from phloem.reports.excerpts import EXCERPT_CHARACTERS, cut
from phloem.reports.languages import declaring
from phloem.reports.numerals import count, decimal
from phloem.reports.visible import visible

Lines = list[str]

WIDTH = 100  # columns of a terminal
LABEL = 12  # columns of the labels at the left
TWINS = 5  # copies that are named
TITLE = 80  # characters of a title
DIGITS = 8  # of a shard's key: no two of one root begin alike, as good as ever

# Said in lines of their own.
_ELSEWHERE = frozenset(
    {
        LANGUAGE.name,
        LANGUAGE_SCORE.name,
        LANGUAGE_SECOND.name,
        LANGUAGE_MIXED.name,
        PII_SPANS.name,
        TEXT_BYTES.name,
        TEXT_HASH.name,
    }
)


def render_story(story: Story, *, excerpt: bool = False, pair: Pair | None = None) -> str:
    """A document's story as plain text for a terminal.

    It holds no text of the document but its title. Characters that could steer a terminal are
    made visible.

    Args:
        story: What `phloem.catalog.story.explain` found.
        excerpt: Whether to show the beginning of the text, personal data masked. It is withheld
            where nobody looked for personal data.
        pair: Of a document that was dropped as a duplicate: where it and the kept one differ.
    """
    parts: list[tuple[str, Lines]] = [
        ("source", _source(story)),
        ("document", _document(story)),
        ("read", [f"{story.ingested or 'a text file that is gone,'} row {story.row}"]),
        ("cleaned", [f"{count(story.text_bytes)} bytes, hash {story.text_hash or 'none'}"]),
        ("language", [_language(story)]),
        ("licence", [story.license or "not stated"]),
        ("measures", _measures(story)),
        ("personal", [_personal(story)]),
        ("rules", _rules(story)),
        ("duplicates", _duplicates(story)),
        ("verdict", [_verdict(story)]),
        ("shard", [f"{story.composed} row {story.composed_row}" if story.composed else "none"]),
        ("tokens", [_tokens(story)]),
        ("shards", [_shards(story)]),
        ("releases", [", ".join(story.releases) or "none"]),
    ]
    if excerpt:
        parts.append(("excerpt", [_excerpt(story)]))
    if pair and pair.dropped.pieces:
        parts += [("dropped", [_differing(pair.dropped)]), ("kept", [_differing(pair.kept)])]
    head = f"document {story.id}, as run {story.run_id} of {story.recipe} left it"
    lines = [head, "", *(line for label, own in parts for line in _block(label, own))]
    return "\n".join(visible(line) for line in lines) + "\n"


def _block(label: str, lines: Sequence[str]) -> Iterator[str]:
    """A label, and its lines folded to the right of it."""
    head = label.ljust(LABEL)
    for line in lines:
        folded = textwrap.wrap(line, WIDTH - LABEL, break_long_words=False, break_on_hyphens=False)
        for piece in folded or [""]:
            yield (head + piece).rstrip()
            head = " " * LABEL


def _source(story: Story) -> Lines:
    card = story.card
    if not card:
        return [f"{story.source}, whose card the run did not record"]
    first = f"{story.source}: {card.get('name') or 'no name'}"
    if card.get("version"):
        first += f", version {card['version']}"
    lines = [first]
    if card.get("homepage"):
        lines.append(str(card["homepage"]))
    terms = [str(card["license"])] if card.get("license") else []
    if card.get("attribution"):
        terms.append(f"by {card['attribution']}")
    terms.append("approved" if approval_fault(card) is None else "no approval")
    terms.append(f"card {str(card.get('card') or '')[:12] or 'unknown'}")
    return [*lines, ", ".join(terms)]


def _document(story: Story) -> Lines:
    own = story.document
    if not own:
        return ["its shard is gone"]
    title = f"“{cut(str(own['title']), characters=TITLE)}”" if own.get("title") else "no title"
    facts = [str(own[name]) for name in ("media_type", "published") if own.get(name)]
    lines = [", ".join([title, *facts]), f"native id {own.get('native_id')}"]
    return [*lines, str(own["url"])] if own.get("url") else lines


def _language(story: Story) -> str:
    declared = story.document.get("declared_language")
    tags = declaring([declared] if declared else []) or declaring(story.card.get("languages") or ())
    told = ", ".join(tags) if tags else "nothing"
    score = story.measures.get(LANGUAGE_SCORE.name)
    found = story.language or "unknown"
    sure = "" if score is None else f", score {decimal(score)}"
    second = story.measures.get(LANGUAGE_SECOND.name)
    mixed = story.measures.get(LANGUAGE_MIXED.name)
    also = (
        f"; {decimal(mixed)} of its passages in others, most in {second}"
        if second and mixed
        else ""
    )
    return f"{found}{sure}; declared: {told}{also}"


def _measures(story: Story) -> Lines:
    told = [
        f"{name} {_value(value)}"
        for name, value in sorted(story.measures.items())
        if name not in _ELSEWHERE
    ]
    faults = [f"{op} could not work on it: {why}" for op, why in sorted(story.faults.items())]
    return [", ".join(told) or "none", *faults]


def _value(value: Json) -> str:
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return decimal(value)
    if isinstance(value, list | tuple):
        return f"({len(value)} values)"  # may be long; `phloem catalog query` shows them
    return cut(str(value), characters=TITLE)


def _shards(story: Story) -> str:
    """Where its text file was worked on: the first digits of each key find the folder."""
    parted = (folder.partition("/") for folder in story.shards)
    return ", ".join(f"{kind}/{key[:DIGITS]}" for kind, _, key in parted) or "all are gone"


def _personal(story: Story) -> str:
    if story.measures.get(PII_SPANS.name) is None:
        return "nobody looked for it"
    if not story.pii:
        return "none found"
    return ", ".join(
        f"{kind} {count(spans)}{' (replaced)' if kind in story.replaced else ''}"
        for kind, spans in sorted(story.pii.items())
    )


def _rules(story: Story) -> Lines:
    """Every rule, those that come from one place under a line that says which."""
    lines: Lines = []
    for (of, source), rules in itertools.groupby(story.rules, key=lambda r: (r.of, r.source)):
        if of:
            lines.append(f"{of}{f', after {source}' if source else ''}:")
        lines += [_rule(rule) for rule in rules]
    return lines or ["the run has none"]


def _rule(rule: Judged) -> str:
    asked = []
    if rule.min is not None:
        asked.append(f"at least {decimal(rule.min)}")
    if rule.max is not None:
        asked.append(f"at most {decimal(rule.max)}")
    if rule.among is not None:
        asked.append("one of " + ", ".join(rule.among))
    if rule.spared:
        return f"-    {rule.name}: {rule.column} not judged, as {rule.spared}"
    if not asked:
        return f"-    {rule.name}: {rule.column} {_value(rule.value)}, no bound for its language"
    mark = "-   " if rule.value is None and rule.passed else "pass" if rule.passed else "FAIL"
    told = "not judged" if rule.value is None and rule.passed else _value(rule.value)
    return f"{mark} {rule.name}: {rule.column} {told}, asked {' and '.join(asked)}"


def _duplicates(story: Story) -> Lines:
    lines = []
    if story.duplicate_of is not None:
        lines.append(f"dropped for {_twin(story.duplicate_of)}")
    lines += [f"kept instead of {_twin(twin)}" for twin in story.copies[:TWINS]]
    if len(story.copies) > TWINS:
        lines.append(f"and of {count(len(story.copies) - TWINS)} more")
    if story.found_in:
        lines.append(f"found in {', '.join(story.found_in)} too")
    return lines or ["none"]


def _differing(side: Side) -> str:
    """A text with what the other one has not in brackets; what is the same is cut."""
    return "".join(f"[{piece.text}]" if piece.differs else piece.text for piece in side.pieces)


def _twin(twin: Twin) -> str:
    near = "" if twin.similarity is None else f", similarity {twin.similarity:.4f}"
    return f"{twin.id} of {twin.source}{near}"


def _verdict(story: Story) -> str:
    if story.verdict == KEPT or not story.reason:
        return story.verdict
    told = f"{story.verdict}: {story.reason}"
    return f"{told} ({story.detail})" if story.detail else told


def _tokens(story: Story) -> str:
    own = story.tokens
    if own is None:
        return "none"
    last = own.first + own.count - 1
    return f"{count(own.count)} tokens, {own.first} to {last} of {own.shard}"


def _excerpt(story: Story) -> str:
    if story.measures.get(PII_SPANS.name) is None:
        return "withheld: nobody looked for personal data in it"
    return cut(story.excerpt, characters=EXCERPT_CHARACTERS) or "the text is empty"
