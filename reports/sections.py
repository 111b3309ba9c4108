"""The sections of a run's page, in order, and the question that each one answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        name: Its anchor on the page, and its template's name.
        title: Its heading.
        question: What a reader finds answered.
    """

    name: str
    title: str
    question: str


def sections() -> tuple[Section, ...]:
    """Every section of a run's page, in order."""
    return (
        Section("headline", "In short", "What went in, what came out, and do the sums balance?"),
        Section(
            "attrition", "Attrition", "What did each rule take, of which sources and languages?"
        ),
        Section("samples", "Documents to read", "What do kept and dropped documents look like?"),
        Section("duplicates", "Near duplicates", "What was removed as a copy, and of what?"),
        Section("personal", "Personal data", "How much was found, of which kinds, and replaced?"),
        Section("licenses", "Licences", "Under which terms is the text, and what do they ask?"),
        Section("languages", "Languages", "Which are in it, and does the tokenizer fit them?"),
        Section("cards", "Sources", "Where does the text come from, and on what evidence?"),
        Section("tokens", "Tokens", "How many tokens are there, and how long are the documents?"),
        Section("quarantine", "Quarantine", "What could not be read or measured, and why?"),
        Section("stages", "Stages", "What was done, what was there already, and how fast?"),
        Section("provenance", "Provenance", "What exactly is this, and how can it be checked?"),
    )
