"""The sections of a run's page, in order, and the question that each one answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from duckdb import DuckDBPyConnection

from phloem.catalog.store import Store
from phloem.reports.attrition import attrition
from phloem.reports.cards import cards
from phloem.reports.duplicates import duplicates
from phloem.reports.headline import headline
from phloem.reports.languages import languages
from phloem.reports.licenses import licenses
from phloem.reports.personal import personal
from phloem.reports.provenance import provenance
from phloem.reports.quarantine import quarantine
from phloem.reports.run import Run
from phloem.reports.samples import samples
from phloem.reports.tokens import tokens


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        name: Its anchor on the page, and its template's name.
        title: Its heading.
        question: What a reader finds answered.
        data: (views of the run, root, the run's record) -> what its template shows.
    """

    name: str
    title: str
    question: str
    data: Callable[[DuckDBPyConnection, Store, Run], Any]


def sections() -> tuple[Section, ...]:
    """Every section of a run's page, in order."""
    return (
        Section(
            "headline",
            "In short",
            "What went in, what came out, and do the sums balance?",
            headline,
        ),
        Section(
            "attrition",
            "Attrition",
            "What did each rule take, of which sources and languages?",
            lambda c, _, run: attrition(c, run),
        ),
        Section(
            "samples", "Documents to read", "What do kept and dropped documents look like?", samples
        ),
        Section(
            "duplicates", "Near duplicates", "What was removed as a copy, and of what?", duplicates
        ),
        Section(
            "personal",
            "Personal data",
            "How much was found, of which kinds, and replaced?",
            lambda _, store, run: personal(store, run),
        ),
        Section(
            "licenses",
            "Licences",
            "Under which terms is the text, and what do they ask?",
            lambda c, _, run: licenses(c, run),
        ),
        Section(
            "languages", "Languages", "Which are in it, and does the tokenizer fit them?", languages
        ),
        Section(
            "cards",
            "Sources",
            "Where does the text come from, and on what evidence?",
            lambda _, __, run: cards(run),
        ),
        Section(
            "tokens", "Tokens", "How many tokens are there, and how long are the documents?", tokens
        ),
        Section(
            "quarantine",
            "Quarantine",
            "What could not be read or measured, and why?",
            lambda c, *_: quarantine(c),
        ),
        Section(
            "stages",
            "Stages",
            "What was done, what was there already, and how fast?",
            lambda _, __, run: run.stages,
        ),
        Section(
            "provenance",
            "Provenance",
            "What exactly is this, and how can it be checked?",
            lambda _, store, run: provenance(store, run),
        ),
    )
