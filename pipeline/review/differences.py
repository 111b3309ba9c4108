"""How two states of a card differ, for who reviews it: by field, by member of a list, by words."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

from phloem.catalog.plain import Json
from phloem.reports.reviewed import FieldChange
from phloem.sources.cards.source import Source

SHORT = 80  # characters up to which a value is shown whole
WORDS = 3_000  # of a prose beyond which its difference is not worked out
AROUND = 4  # words that are shown around a difference


def flat(card: Source) -> dict[str, Json]:
    """A card's fields by dotted name; lists of plain values stay lists."""
    return dict(leaves("", card.model_dump(mode="json", exclude={"id"}, exclude_defaults=True)))


def leaves(name: str, value: Json) -> Iterator[tuple[str, Json]]:
    """(dotted name, value) of all that plain data holds; lists of plain values stay lists."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
        for number, inner in enumerate(value):
            yield from leaves(f"{name}.{number}", inner)
    else:
        yield name, value


def changes(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[FieldChange]:
    """What differs, field by field: lists by their members, prose by its words."""
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, list) and isinstance(new, list):
            yield _members_changed(name, old, new)
        elif isinstance(old, str) and isinstance(new, str) and max(len(old), len(new)) > SHORT:
            yield from _prose(name, old, new)
        elif _text(old) == _text(new):  # a number that became a text, or the other way round
            yield FieldChange(name, repr(old), repr(new))
        else:
            yield FieldChange(name, _text(old), _text(new))


def _members_changed(name: str, old: Sequence[Json], new: Sequence[Json]) -> FieldChange:
    """What left a list and what came into it; all of both where only their order differs."""
    gone, come = ([each for each in a if each not in b] for a, b in ((old, new), (new, old)))
    if not gone and not come:
        gone, come = list(old), list(new)
    return FieldChange(name, _text(gone) if gone else None, _text(come) if come else None)


def _text(value: Json) -> str | None:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return None if value is None else str(value)


def _prose(name: str, old: str, new: str) -> Iterator[FieldChange]:
    """The words that differ, with a few around them."""
    left, right = old.split(), new.split()
    if max(len(left), len(right)) > WORDS:
        yield FieldChange(name, old, new)
        return
    matcher = difflib.SequenceMatcher(None, left, right)
    for group in matcher.get_grouped_opcodes(AROUND):
        (_, i, _, j, _), (_, _, i_end, _, j_end) = group[0], group[-1]
        yield FieldChange(name, _piece(left, i, i_end), _piece(right, j, j_end))


def _piece(words: Sequence[str], start: int, end: int) -> str:
    head, tail = "… " if start else "", " …" if end < len(words) else ""
    return f"{head}{' '.join(words[start:end])}{tail}"
