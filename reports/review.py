"""The review of a branch that changes the registry, as one Markdown comment: the verdict first.

Whatever stands in a card is code in the comment: it links nowhere, mentions nobody, and ends where
it should.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from phloem.reports.markdown import WHOLE, arrow, code, codes, path_code
from phloem.reports.numerals import count
from phloem.reports.reviewed import Breadth, CardReview, Decides, FieldChange, Review, ReviewFinding
from phloem.reports.source_sample import markdown as sample_markdown

MARK = "<!-- phloem-registry-review -->"
"""First line of every review: by it, the next one of the same branch takes its place."""

MOST_CHARACTERS = 60_000  # in UTF-16, of which a forge never counts more: GitHub takes 65,536
LEFT_OUT_UNITS = 4_600  # of those, for the names of what is left out
VERDICT_UNITS = 15_000  # for the verdict with a line for each fault
DECIDES_UNITS = 30_000  # for what decides; the cards have the rest
DECIDES = (
    "### What decides\n\nThis says what is read, who agrees to it and what is checked: look at it"
    " before what comes below."
)
RED, YELLOW, GREEN = "🔴", "🟡", "🟢"
VALUE = 600  # characters of a value in a comment
OVERLAPS = 3  # sources that a card's overlap names


@dataclass(frozen=True)
class _Part:
    """A part of a review.

    Attributes:
        name: As it is named where it is left out.
        head: Its heading, and what stands below it.
        items: Blocks of Markdown, each whole or left out.
        most: Units that its items may take in a comment; None: it is left out as a whole.
        is_one: Whether it is left out as a whole too where only those before it took its room.
    """

    name: str
    head: str
    items: tuple[str, ...] = ()
    most: int | None = None
    is_one: bool = False

    @property
    def text(self) -> str:
        return "\n".join([self.head, *self.items])


def comment(review: Review) -> str:
    """The comment, never longer than a forge takes; what is left out of it is named at its end."""
    kept: list[str] = []
    left_out: list[str] = []
    room = MOST_CHARACTERS - LEFT_OUT_UNITS
    for part in _parts(review, VALUE):
        text, without = _fitted(part, room)
        kept += [text] if text else []
        left_out += [without] if without else []
        room -= _units(text) + 2
    return "\n\n".join([*kept, *_foot(review, left_out)]) + "\n"


def whole(review: Review) -> str:
    """All of the review, of whatever length: nothing of it is left out, and no value is cut."""
    return "\n\n".join([*(part.text for part in _parts(review, WHOLE)), *_foot(review, ())]) + "\n"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def _fitted(part: _Part, room: int) -> tuple[str, str]:
    """As much of a part as there is room for, and the name of what is left out of it."""
    if _units(part.text) <= (room if part.most is None else min(room, part.most)):
        return part.text, ""
    is_whole = part.most is None or (part.is_one and _units(part.text) <= part.most)
    if is_whole or part.most is None or _units(part.head) > room:
        return "", part.name
    kept: list[str] = []
    left = min(room, part.most) - _units(part.head) - 100  # for the line that counts the others
    for item in part.items:
        left -= _units(item) + 1
        if left < 0:
            break
        kept.append(item)
    without = f"{count(len(part.items) - len(kept))} of {count(len(part.items))}"
    return "\n".join([part.head, *kept, f"- **{without} are left out here**"]), (
        f"{part.name} ({without})"
    )


def _foot(review: Review, left_out: Sequence[str]) -> Iterator[str]:
    base, head = review.base[:12], review.head[:12]
    if left_out:
        told: list[str] = []
        room = LEFT_OUT_UNITS - 400  # for the sentence around the names
        for name in left_out:
            room -= _units(name) + 2
            if room < 0:
                break
            told.append(name)
        more = len(left_out) - len(told)
        others = f"; and {count(more)} more parts" if more else ""
        yield (
            f"**Left out for want of room:** {'; '.join(told)}{others}. All of it is printed by"
            f" `phloem sources review --whole {base}..{head}`."
        )
    yield f"<sub>{code(base)} to {code(head)}</sub>"


def _parts(review: Review, characters: int) -> Iterator[_Part]:
    """The parts, what must be seen first: none that follows can take its room."""
    faults = tuple(_fault(each, characters) for each in _faults(review))
    head = "\n".join([MARK, "", *_verdict(review)])
    yield _Part("faults of the verdict", f"{head}\n" if faults else head, faults, VERDICT_UNITS)
    yield from _decides(review.decides)
    yield from _list("cards", "### Cards\n", _lights(review), 12_000)
    yield from _list("languages", "### Languages of BLOOM\n", _languages(review.languages), 4_000)
    for card in review.cards:
        if card.name:
            yield _card(card, characters)
    told = {id(each) for each in _faults(review)}
    left = [each for each in review.findings if id(each) not in told]
    hints = [_finding(each, characters) for each in _by_turns(left)]
    yield from _list("hints", "### Hints\n", hints, 8_000)
    for card in review.cards:
        if card.sample:
            name = f"the sample of {code(card.id)}"
            yield _Part(name, sample_markdown(card.sample, characters=characters))
    pages = [f"- {path_code(path)}" for path in review.prose]
    yield from _list("pages", "### Pages of prose that it changes\n", pages, 4_000)


def _decides(found: Sequence[Decides]) -> Iterator[_Part]:
    """A part a kind: in full, or where that is more than there is room for, a share for each."""
    kinds: dict[str, list[str]] = {}
    for each in found:
        kinds.setdefault(each.kind, []).append(f"- {path_code(each.path)} {each.what}")
    if kinds:
        yield _Part("the heading of what decides", DECIDES)
    sizes = {kind: sum(_units(line) + 1 for line in lines) + 200 for kind, lines in kinds.items()}
    shares, left = {}, DECIDES_UNITS
    for place, kind in enumerate(sorted(sizes, key=sizes.__getitem__)):
        shares[kind] = min(sizes[kind], left // (len(sizes) - place))
        left -= shares[kind]
    for kind, lines in kinds.items():
        head = f"#### {kind[0].upper()}{kind[1:]}\n"
        yield _Part(kind, head, tuple(lines), shares[kind])


def _list(name: str, head: str, items: Iterable[str], most: int) -> Iterator[_Part]:
    made = tuple(items)
    if made:
        yield _Part(name, head, made, most)


def _verdict(review: Review) -> Iterator[str]:
    errors, hints = review.errors, len(review.findings) - review.errors
    said = [f"{_many(errors, 'error')} to mend"] if errors else []
    if review.must_be_looked_at:
        said = ["a maintainer must look", *said]
    if not said:
        said = [f"no error, {_many(hints, 'hint')}" if hints else "nothing to mend"]
    light = RED if errors else YELLOW if review.must_be_looked_at else GREEN
    yield f"## Registry review: {'; '.join(said)} {light}"
    yield ""
    changed = {what: [c.id for c in review.cards if c.what == what] for what in _WORDS}
    told = [f"{word} {codes(changed[what])}" for what, word in _WORDS.items() if changed[what]]
    yield f"Cards: {'; '.join(told)}." if told else "No card is changed."
    for is_confirmed, what in (
        (False, "**It changes what decides or signs:**"),
        (True, "It changes what decides, and this review has seen that it is right:"),
    ):
        kinds = Counter(each.kind for each in review.decides if each.is_confirmed == is_confirmed)
        told = [f"{kind} ({count(number)})" for kind, number in kinds.items()]
        if told:
            yield ""
            yield f"{what} {'; '.join(told)}."
    wrong = [card for card in review.cards if card.sample and card.sample.mismatches]
    if wrong:
        yield ""
        yield f"**Languages not as declared:** {codes(card.id for card in wrong)}."
    if any(card.what != "removed" for card in review.cards):
        yield ""
        yield _overlap(review.cards)
    unseen = [card for card in review.cards if card.why_no_sample and not card.failed]
    if unseen:
        yield ""
        yield f"**Without a sample:** {codes(card.id for card in unseen)}; each says why below."
    for note in review.notes:
        yield ""
        yield f"**Look:** {note}"


def _overlap(cards: Sequence[CardReview]) -> str:
    """What was found of overlap with the registry, or that nobody has looked."""
    samples = [card.sample for card in cards if card.sample]
    compared = [each for each in samples if each.is_compared]
    if not compared:
        why = samples[0].compared_with if samples else "no card has a sample"
        return f"**Overlap with the registry was not looked at:** {code(why)}."
    told = [
        f"{code(each.source)} {count(number)} of {count(each.documents)} with {code(other)}"
        for each in compared
        for other, number in list(each.elsewhere.items())[:OVERLAPS]
    ]
    without = len([card for card in cards if card.what != "removed"]) - len(compared)
    more = f" It was not looked at of {_many(without, 'card')}." if without else ""
    run = code(compared[0].compared_with)
    return f"**Overlap with the registry,** as {run} holds it: {'; '.join(told) or 'none'}.{more}"


def _faults(review: Review) -> list[ReviewFinding]:
    """What the verdict names: every error, then what else the review saw for itself."""
    errors = [each for each in review.findings if each.is_error]
    others = [each for each in review.findings if _is_seen(each) and not each.is_error]
    return [*_by_turns(errors), *_by_turns(others)]


def _is_seen(each: ReviewFinding) -> bool:
    return each.rule.startswith("R")


def _fault(each: ReviewFinding, characters: int) -> str:
    """One line of the verdict."""
    card = each.field if each.file.endswith("sources.lock") else _card_of(each.file)
    where = "its lock entry" if each.file.endswith("sources.lock") else code(each.field)
    return (
        f"- {RED if each.is_error else YELLOW} {code(card)}, {where}:"
        f" {code(each.message, characters)} ({each.rule}). To do: {each.fix}."
    )


def _card_of(file: str) -> str:
    return file.rpartition("/")[2].removesuffix(".yaml")


_WORDS = {"added": "new", "changed": "changed", "removed": "removed"}


def _many(number: int, word: str) -> str:
    return f"{count(number)} {word}{'' if number == 1 else 's'}"


def _lights(review: Review) -> list[str]:
    """A line a card: red where something is to be mended, and those first."""
    wrong: Counter[tuple[str, bool]] = Counter(
        (_card_of(each.file), each.is_error) for each in review.findings
    )
    # Of the lock file the field names the card.
    locked = (each for each in review.findings if each.file.endswith("sources.lock"))
    wrong.update((each.field, each.is_error) for each in locked)
    made = []
    for card in review.cards:
        errors, hints = wrong[card.id, True], wrong[card.id, False]
        light = RED if errors or card.broken else YELLOW if hints else GREEN
        said = [
            *([f"**{card.broken}**"] if card.broken else []),
            *([_many(errors, "error")] if errors else []),
            *([_many(hints, "hint")] if hints else []),
        ]
        told = f": {', '.join(said)}" if said else ""
        made.append(f"- {light} {code(card.id, WHOLE)} {card.what}{told}")
    order = (RED, YELLOW, GREEN)
    return sorted(made, key=lambda line: order.index(line[2]))


def _by_turns(found: Sequence[ReviewFinding]) -> list[ReviewFinding]:
    """The first of each file, then the second of each: one file's many take no other's room."""
    turns: Counter[tuple[str, bool]] = Counter()
    places = []
    for each in found:
        places.append(turns[each.file, each.is_error])
        turns[each.file, each.is_error] += 1
    order = sorted(range(len(found)), key=places.__getitem__)
    return [found[place] for place in order]


def _finding(each: ReviewFinding, characters: int) -> str:
    kind = "**error**" if each.is_error else "hint"
    return (
        f"- {each.rule} {kind} in {code(each.file, characters)}, {code(each.field, characters)}:"
        f" {code(each.message, characters)}. To do: {each.fix}."
    )


def _languages(reaches: Sequence[Breadth]) -> Iterator[str]:
    for each in reaches:
        new = ", the first" if not each.before else ", **none is left**" if not each.after else ""
        yield f"- {each.name} (`{each.tag}`): {each.before} active cards → {each.after}{new}"


def _card(card: CardReview, characters: int) -> _Part:
    head = [f"### {code(card.id)} {card.what}", ""]
    if card.name:
        head += [f"{code(card.name, characters)}. {code(card.summary, characters)}", ""]
    items = tuple(_items(card, characters))
    return _Part(f"card {code(card.id)}", "\n".join(head), items, 8_000, is_one=True)


def _items(card: CardReview, characters: int) -> Iterator[str]:
    if card.what == "removed":
        yield "- A card is withdrawn and not removed: reports and releases go on naming it."
        return
    yield f"- Its licence asks: {', '.join(card.asked) or 'nothing'}{_difference(card)}"
    if card.members:
        yield f"- Its members are under: {codes(card.members, most=WHOLE, characters=characters)}"
    for name, reason in card.policies:
        yield f"- Policy `{name}`: {f'does not read it: {code(reason)}' if reason else 'reads it'}"
    yield f"- Approval: {card.approval}"
    if card.why_no_sample:
        yield f"- No sample: {card.why_no_sample}"
    for what, value in card.facts:
        yield f"- {what}: {code(value, characters)}"
    yield from _changes(card.changes, characters)


def _difference(card: CardReview) -> str:
    more = f"; **new: {', '.join(card.more)}**" if card.more else ""
    less = f"; no longer: {', '.join(card.less)}" if card.less else ""
    return more + less


def _changes(changes: Sequence[FieldChange], characters: int) -> Iterator[str]:
    for each in changes:
        field, before, after = (
            code(value or "", characters) for value in (each.field, each.before, each.after)
        )
        if each.before is None:
            yield f"- {field} is new: {after}"
        elif each.after is None:
            yield f"- {field} is gone: {before}"
        else:
            yield f"- {field}: {arrow(before, after)}"
