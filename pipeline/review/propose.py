"""From the form of a proposed source to its card.

`python -m phloem.pipeline.review.propose EVENT FOLDER` does it.

EVENT is the JSON file in which a forge tells of an issue. Whoever wrote the issue is a stranger:
nothing of it is run or opened. FOLDER gets `comment.md` in any case, and `id` and `card.yaml` where
the form makes a card.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import get_args

import yaml

from phloem.catalog.errors import UseError
from phloem.catalog.plain import Json
from phloem.pipeline.registry.registry import lint_all
from phloem.pipeline.workspace import Workspace
from phloem.reports.markdown import code
from phloem.sources.cards.approvals import approvals_folder
from phloem.sources.cards.lint import Finding
from phloem.sources.cards.plain_yaml import read_plain
from phloem.sources.cards.source import Kind, card_files, check_card
from phloem.sources.connector import connectors

LABELS: Mapping[str, str] = {
    "Id": "id",
    "Name": "name",
    "Summary": "summary",
    "Homepage": "homepage",
    "Kind": "kind",
    "Languages": "languages",
    "Licence": "license",
    "Connector": "connector",
    "Parameters": "params",
    "Custodian": "custodian",
    "Personal data": "personal_data",
    "Whose data": "personal_note",
    "What is missing": "reason",
}
"""What the form calls each answer; `.github/ISSUE_TEMPLATE/source.yml` has the same, by a test."""

QUESTIONS: Mapping[str, str] = {
    "id": "Id, such as folk-tales-sw: it names the work, and is never used again",
    "name": "Name, as its makers call it",
    "summary": "Summary: what the texts are, who made them, which part is taken, why it was chosen",
    "homepage": "Homepage, where a reader finds it",
    "kind": f"Kind: {', '.join(get_args(Kind))}",
    "languages": "Languages, BCP-47 tags with commas between; zxx for code",
    "license": "Licence, an SPDX expression; LicenseRef-unknown if nobody has looked",
    "connector": f"Connector: {', '.join(connectors())}",
    "params": "The connector's parameters as YAML, such as {packages: [nltk]}",
    "custodian": "Custodian: who makes it and answers for it",
    "personal_data": "Personal data: none, incidental or personal",
    "personal_note": "Whose data it is, and where",
    "reason": "What is missing before it can be read",
}
"""How a terminal asks for each; the status of what comes of them is `proposed`."""

OWN_LINE = "# yaml-language-server: $schema=../schema.json\n"
EMPTY = "_No response_"  # as GitHub writes an answer that was left out
MOST = 20_000  # characters of a form: the longest card has half of it

_HEADING = re.compile(r"^### (.+)$", re.MULTILINE)


def card_of_answers(answers: Mapping[str, str]) -> dict[str, Json]:
    """The twelve fields in the model's order. Raises UseError for what is no plain YAML.

    A card would tell of a key that stands there twice, but of what was made of it here.
    """
    params, wrong = read_plain(answers["params"].encode(errors="replace"))
    if wrong:
        raise UseError(f"--params {answers['params']!r} is no YAML of plain values: {wrong[0]}")
    personal = {"level": answers["personal_data"], "note": answers["personal_note"]}
    return {
        **{field: answers[field] for field in ("id", "name", "summary", "homepage", "kind")},
        "languages": [tag.strip() for tag in answers["languages"].split(",") if tag.strip()],
        "license": {"spdx": answers["license"]},
        "access": {"connector": answers["connector"], "params": params},
        "custodian": answers["custodian"],
        "personal_data": {name: text for name, text in personal.items() if text},
        "status": "proposed",
        "reason": answers["reason"],
    }


def answers_of(body: str) -> dict[str, str]:
    """The answers of a form by field: of headings that stand there twice, the first counts."""
    pieces = _HEADING.split(body.replace("\r\n", "\n"))
    found: dict[str, str] = {}
    last = None
    for heading, text in zip(pieces[1::2], pieces[2::2], strict=True):
        field = LABELS.get(heading.strip())
        if field and field not in found:
            found[field] = "" if text.strip() == EMPTY else text.strip()
            last = field
        elif last:  # a heading that somebody wrote into an answer
            found[last] += f"\n\n### {heading}{text}"
    return found


def write_card(
    answers: Mapping[str, str], workspace: Workspace, known: Collection[str]
) -> tuple[Path, list[Finding]]:
    """Write a proposed card into the workspace, or else the project.

    Args:
        answers: By field of `QUESTIONS`.
        workspace: Into whose first folder of cards it goes, if it has any.
        known: Ids of the cards that there are.

    Returns:
        The card's file, and what the rules find in it.

    Raises:
        UseError: there is such a card, or the answers make none; nothing is written.
    """
    if answers["id"] in known:
        msg = f"there is a card {answers['id']!r} already; choose another id, or change that one"
        raise UseError(msg)
    folder = workspace.sources[0] if workspace.sources else approvals_folder().parent / "entries"
    path = folder / f"{answers['id']}.yaml"
    card = card_of_answers(answers)
    _, faults = check_card(path, card)
    if faults:
        raise UseError("; ".join(fault.removeprefix(f"{path}: ") for fault in faults))
    path.write_text(("" if workspace.sources else OWN_LINE) + card_text(card), encoding="utf-8")
    return path, [found for found in lint_all(workspace) if found.file == str(path)]


def card_text(card: Mapping[str, Json]) -> str:
    """A card as its file holds it."""
    return yaml.safe_dump(dict(card), sort_keys=False, allow_unicode=True, width=100)


def card_of(answers: Mapping[str, str]) -> tuple[dict[str, Json], list[str]]:
    """The plain data of a card of twelve fields, or what of the answers makes none."""
    given = {field: answers.get(field, "") for field in LABELS.values()}
    _, faults = read_plain(given["params"].encode())
    if faults:
        return {}, [f"params: {fault}" for fault in faults]
    try:
        return card_of_answers(given), []
    except (UseError, ValueError):  # such as a date of month 13
        return {}, ["params: found what is no plain YAML"]


def propose(event: Mapping[str, Json], folder: Path) -> bool:
    """Write what comes of a form into a folder; whether that is a card."""
    issue = event["issue"]
    body = str(issue.get("body") or "")
    number = int(issue["number"])
    card, faults = card_of(answers_of(body)) if len(body) <= MOST else ({}, ["form: too long"])
    if not faults:
        place = Path(f"{card['id']}.yaml")
        _, wrong = check_card(place, card)
        faults = [text.removeprefix(f"{place}: ") for text in wrong]
    if not faults and card["id"] in {path.stem for path in card_files()}:
        faults = [f"id: there is a card {card['id']} already; change that one, or choose another"]
    if faults:
        said = "\n".join(f"- {code(fault)}" for fault in faults)
        text = (
            "No card can be made of this form yet:\n\n"
            f"{said}\n\nEdit the issue, take its label `source` off and put it on again.\n"
        )
        (folder / "comment.md").write_text(text, encoding="utf-8")
        return False
    (folder / "card.yaml").write_text(OWN_LINE + card_text(card), encoding="utf-8")
    (folder / "id").write_text(card["id"], encoding="utf-8")
    text = (
        f"A proposed card, made from the form of #{number}; no run reads it. The review comes once"
        " this pull request is closed and opened again by somebody who may.\n\n"
        f"Closes #{number}\n"
    )
    (folder / "comment.md").write_text(text, encoding="utf-8")
    return True


def main(arguments: Sequence[str]) -> int:
    """Read the event, write what comes of it, and say which."""
    if len(arguments) != 2:  # noqa: PLR2004 - the two that the usage names
        sys.stderr.write("usage: python -m phloem.pipeline.review.propose EVENT FOLDER\n")
        return 2
    event = json.loads(Path(arguments[0]).read_bytes())
    made = propose(event, Path(arguments[1]))
    sys.stdout.write("a card was made\n" if made else "no card can be made of it; see comment.md\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
