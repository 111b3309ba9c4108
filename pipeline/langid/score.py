"""`phloem langid score`: every tier by every tool, cousins and cards, as one value of JSON."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from phloem.catalog.errors import UseError
from phloem.catalog.plain import Json
from phloem.catalog.store import Store
from phloem.catalog.tags import NO_LANGUAGE, UNKNOWN, TagError, canonical, primary
from phloem.filters.op import find_op
from phloem.pipeline.langid import crossed, peers, tiers
from phloem.pipeline.langid.corpus import corpus_of, labelled
from phloem.pipeline.langid.declared import CHARS, PIECES, Kept, kept_by_card
from phloem.pipeline.langid.scoring import Score, score
from phloem.pipeline.langid.texts import Text, texts
from phloem.pipeline.langid.tiers import Tier
from phloem.pipeline.langid.train import Settings
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.workspace import Workspace

COLUMNS = ("tier", "tool", "macro F1", "low", "high", "languages", "pieces", "und")
BEFORE = "before"
BESIDE = 30  # pieces of a language that other tools are asked of: lingua takes its time
INTERFACE = "interface"  # the kind of cards whose texts are those of programs
CODE = ("rust-parsers-code", "sphinx-code")  # of two languages, with comments as people write them


@dataclass(frozen=True)
class Held:
    """Text that nothing was trained on.

    Attributes:
        prose: In the usual script of its language.
        unusual: In another.
        code: Of programs.
    """

    prose: Sequence[Text]
    unusual: Sequence[Text]
    code: Sequence[Text]


def held_out(store: Store, workspace: Workspace, told: Callable[[str], None]) -> Held:
    """What nothing was trained on, as `texts.yaml` has it, and code.

    Args:
        store: The root: files and what is read come into it.
        workspace: Whose ops a card may name.
        told: Called with a line for a person when something is fetched.

    Raises:
        FetchError: the files of a card cannot be had.
    """
    corpus = corpus_of(load_registry(workspace))
    prose = list(labelled(store, corpus, workspace, told, scored=True))
    code = list(texts(store, corpus.registry, workspace, CODE, told))
    sources = {text.source for text in prose}
    interface = {each for each in sources if corpus.registry.cards[each].kind == INTERFACE}
    return held([*prose, *code], frozenset(interface))


def held(found: Sequence[Text], interface: frozenset[str]) -> Held:
    """Texts parted into what each tier asks for.

    Args:
        found: Of any languages, code among them.
        interface: The sources whose texts are those of programs.
    """
    code = [text for text in found if text.language == NO_LANGUAGE]
    others = tiers.translated([text for text in found if text.language != NO_LANGUAGE])
    usual: list[Text] = []
    unusual: list[Text] = []
    for text in others:
        (usual if tiers.is_usual(text.language) else unusual).append(text)
    return Held(tiers.prose_first(usual, interface), unusual, code)


def tiers_of(found: Held) -> tuple[list[Tier], list[Tier]]:
    """The clean tiers and the hard ones."""
    prose = tiers.stretches(found.prose)
    clean = tiers.clean(prose, tiers.stretches(found.code))
    return clean, tiers.hard(prose, tiers.stretches(found.unusual), found.prose)


def score_all(
    found: Held,
    paths: Mapping[str, str],
    *,
    python: str | None,
    before: str | None,
    told: Callable[[str], None],
) -> dict[str, Json]:
    """Score every tier by every tool.

    Args:
        found: Held-out text.
        paths: The op's files.
        python: A Python that has pycld2 and lingua, if these are measured.
        before: A checkout of an earlier state of the project, if that is measured.
        told: Told of every measurement as it is made.

    Returns:
        `date`; `op`, the op's version; `tiers`, a list of scores; `peers`, the same over the labels
        that both tools have; `cousins`, by tier; `cards`, by tool.

    Raises:
        StageError: a Python has not a tool, or a tool failed.
    """
    clean, hard = tiers_of(found)
    sizes = tiers.text_bytes([*found.prose, *found.code])
    rated = functools.partial(score, text_bytes=sizes)
    own = _own(paths)
    tools = {peers.PHLOEM: own, peers.LIBRARY: _library(paths)}
    if before:
        tools[BEFORE] = _earlier(before, paths)
    rows: list[dict[str, Json]] = []
    tables: dict[str, Json] = {}
    said: dict[str, list[str]] = {}
    for tier in [*clean, *hard]:
        # What has less text than is enough in one script counts by all that there is of it.
        own_sizes = sizes | tiers.text_bytes(found.unusual) if tier is hard[-1] else sizes
        for tool, ask in tools.items():
            answers = ask([piece.text for piece in tier.pieces])
            made = rated(tier.pieces, answers, text_bytes=own_sizes)
            is_whole = tool == peers.PHLOEM and tier in clean
            rows.append(_told(tier.name, tool, made, answers, whole=is_whole))
            told(_line(rows[-1]))
            if tool == peers.PHLOEM:
                said[tier.name] = answers
            if tier in clean and tool != peers.LIBRARY:
                counted = tiers.cousins(tier.pieces, answers)
                tables[f"{tier.name}, {tool}"] = [
                    {"group": list(group), "rows": {own: dict(row) for own, row in each.items()}}
                    for group, each in counted
                ]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "op": find_op("language", {}).version,
        "tiers": rows,
        "peers": list(_beside([*clean, *hard], said, python, paths, rated, told)) if python else [],
        "cousins": tables,
        "cards": _cards(found, paths, before),
    }


Answers = Callable[[Sequence[str]], list[str]]


def _own(paths: Mapping[str, str]) -> Answers:
    def ask(texts: Sequence[str]) -> list[str]:
        return [language for language, _ in peers.own_answers(texts, [[]] * len(texts), paths)]

    return ask


def _library(paths: Mapping[str, str]) -> Answers:
    return lambda texts: peers.library_answers(texts, paths)


def _earlier(checkout: str, paths: Mapping[str, str]) -> Answers:
    def ask(texts: Sequence[str]) -> list[str]:
        found = peers.earlier_answers(checkout, texts, [[]] * len(texts), paths)
        return [language for language, _ in found]

    return ask


def _beside(
    asked: Sequence[Tier],
    said: Mapping[str, Sequence[str]],
    python: str,
    paths: Mapping[str, str],
    rated: Callable[..., Score],
    told: Callable[[str], None],
) -> Iterator[dict[str, Json]]:
    """Each peer on each tier, over the languages that both know, the op asked among these."""
    ours = peers.library_languages(paths) | {
        primary(answer) for answers in said.values() for answer in answers
    }
    for tool in peers.PACKAGES:
        known = peers.peer_languages(tool, python) & ours
        wanted = known - {UNKNOWN, NO_LANGUAGE}
        places = {tier.name: _first_of(tier.pieces, wanted, BESIDE) for tier in asked}
        shown = [tier.pieces[place].text for tier in asked for place in places[tier.name]]
        # A tool of few languages takes none for one that it does not know: nor does ours here.
        own = peers.own_answers(shown, [[]] * len(shown), paths, sorted(wanted))
        answered = iter([language for language, _ in own])
        release, labels, seconds = peers.peer_answers(tool, python, shown)
        told(f"{release}: {len(shown):,} pieces, {seconds:.0f} CPU s")
        answers = iter(labels)
        for tier in asked:
            pieces = [tier.pieces[place] for place in places[tier.name]]
            mine = [next(answered) for _ in pieces]
            theirs = [next(answers) for _ in pieces]
            for name, given in ((peers.PHLOEM, mine), (release, theirs)):
                made = rated(pieces, given)
                yield {
                    "beside": release,
                    **_told(tier.name, name, made, given, whole=False),
                }


def _first_of(pieces: Sequence[Text], languages: frozenset[str], number: int) -> list[int]:
    """The places of the first pieces of each of these languages."""
    met: Counter[str] = Counter()
    places = []
    for place, piece in enumerate(pieces):
        language = primary(piece.language)
        met[language] += 1
        if language in languages and met[language] <= number:
            places.append(place)
    return places


def _told(
    tier: str, tool: str, made: Score, answers: Sequence[str], *, whole: bool
) -> dict[str, Json]:
    """A score as plain values; all rows of it if `whole`."""
    macro = made.macro
    return {
        "tier": tier,
        "tool": tool,
        "macro F1": None if macro is None else round(macro.value, 4),
        "low": None if macro is None else round(macro.low, 4),
        "high": None if macro is None else round(macro.high, 4),
        "languages": made.languages,
        "pieces": made.pieces,
        "und": sum(answer == UNKNOWN for answer in answers),
        **({"rows": [_rounded(dataclasses.asdict(row)) for row in made.rows]} if whole else {}),
    }


def _rounded(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def _line(row: Mapping[str, Json]) -> str:
    return f"{row['tier']}: {row['tool']} {row['macro F1']} over {row['languages']} languages"


def _cards(found: Held, paths: Mapping[str, str], before: str | None) -> dict[str, Json]:
    """What is kept under each card, by language, now and before."""
    pieces = tiers.cut(tiers.stretches(found.prose), CHARS, PIECES)
    asked = {peers.PHLOEM: functools.partial(peers.own_answers, paths=paths)}
    if before:
        asked[BEFORE] = functools.partial(peers.earlier_answers, before, paths=paths)
    return {tool: [_plain(row) for row in kept_by_card(pieces, ask)] for tool, ask in asked.items()}


def _plain(row: Kept) -> dict[str, Json]:
    return {"language": row.language, "pieces": row.pieces, "right": dict(row.right)}


def score_one_source(
    store: Store, workspace: Workspace, folds: int, told: Callable[[str], None]
) -> list[dict[str, Json]]:
    """Languages that have the Declaration alone: a row each, told by models without its articles.

    Args:
        store: The root.
        workspace: Whose ops a card may name.
        folds: Models to train, each without as large a part of the Declaration.
        told: Called with a line for a person about each step.
    """
    corpus = corpus_of(load_registry(workspace))
    trained, scored = (
        list(labelled(store, corpus, workspace, told, scored=scored)) for scored in (False, True)
    )
    alone = crossed.in_one_source(trained, scored)
    pieces, answers = crossed.crossed(trained, folds, Settings(), told)
    declared = [text for text in trained if text.source == crossed.DECLARATION]
    made = score(pieces, answers, tiers.text_bytes(declared), alone)
    rows = [dataclasses.asdict(row) for row in made.rows if row.language in alone]
    return [_rounded(row) for row in rows]


def of_user(path: Path) -> list[Text]:
    """A user's own labelled texts: JSON lines with `language` and `text`.

    Raises UseError for a line that has not both, or whose language is no tag.
    """
    found = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                tag, text = canonical(str(record["language"])), str(record["text"])
            except TagError as error:
                raise UseError(f"{path}, line {number}: {error}") from None
            except (ValueError, KeyError, TypeError):
                msg = f"{path}, line {number}: no JSON object with `language` and `text`"
                raise UseError(msg) from None
            found.append(Text(tag, path.name, str(number), text))
    return found


def score_user(found: Sequence[Text], paths: Mapping[str, str]) -> Iterator[dict[str, Json]]:
    """Score a user's own labelled texts as they stand, by the op and by the library."""
    sizes = tiers.text_bytes(found)
    for tool, ask in {peers.PHLOEM: _own(paths), peers.LIBRARY: _library(paths)}.items():
        answers = ask([text.text for text in found])
        made = score(found, answers, sizes)
        yield _told("as labelled", tool, made, answers, whole=True)
