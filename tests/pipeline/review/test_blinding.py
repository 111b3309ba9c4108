"""Branches that would blind a reviewer: what decides is told first and in full, none ends a review,
and nothing that stands in a card is markup in a real Markdown renderer.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt
from registry_branch import Repository, card_of
from tiny_workspace import new_root
from typer.testing import CliRunner

from phloem.catalog.store import Store
from phloem.pipeline.cli.app import app
from phloem.pipeline.review import review as reviewing
from phloem.pipeline.review.review import review
from phloem.reports.review import MARK, comment, whole
from phloem.reports.reviewed import CardReview, Review
from phloem.reports.source_sample import Excerpt, SampledLanguage, SourceSample
from phloem.sources.cards import lint
from phloem.sources.cards.source import Source

SIGNERS = "sources/approvals/allowed_signers"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"
LOCK = "sources/sources.lock"
DECIDING = {
    SIGNERS: f"steward {KEY}\n",
    ".github/CODEOWNERS": "* @maintainers\n",
    ".github/workflows/ci.yml": "on: push\n",
    "catalog/policies/strict.yaml": "name: strict\n",
    "sources/licenses.yaml": "LicenseRef-x: {}\n",
    "sources/cards/lint.py": "RULES = []\n",
    "pipeline/review/review.py": "def review(): ...\n",
    "sources/connectors/http.py": "VERSION = 1\n",
    "pyproject.toml": "[project]\n",
    "Makefile": "all:\n",
    "pipeline/recipes/first.yaml": "name: first\n",
    LOCK: json.dumps({"format": 1, "sources": {}}),
}


SEEN = {"protocol": "robots", "verdict": "allow", "place": "https://x/robots.txt", "note": None}


def entry(name: str = "harbour_text-1.0-py3-none-any.whl", digit: str = "a") -> dict[str, Any]:
    file = {"name": name, "sha256": digit * 64, "bytes": 10, "url": None}
    return {"version": "1.0", "files": [file], "fetched_on": "2026-01-01", "languages": None}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Two cards, one of them locked, and what decides about them."""
    made = Repository(tmp_path / "repository")
    for path, text in DECIDING.items():
        put(made, path, text)
    made.write(card_of("harbour"))
    made.write(card_of("garden", languages=["sw"]))
    lock(made, harbour=entry())
    made.commit()
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(new_root(tmp_path / "root")))


def put(repository: Repository, path: str, text: str | bytes = "x\n") -> Path:
    file = repository.folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def lock(repository: Repository, **entries: Any) -> None:
    put(repository, LOCK, json.dumps({"format": 1, "sources": entries}, indent=1))


def card(repository: Repository, text: str | bytes, id_: str = "tower") -> None:
    put(repository, f"sources/entries/{id_}.yaml", text)


def link(repository: Repository, path: str, target: str) -> None:
    file = repository.folder / path
    file.unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to(target)


def move(repository: Repository, path: str, to: str) -> None:
    (repository.folder / to).parent.mkdir(parents=True, exist_ok=True)
    (repository.folder / path).rename(repository.folder / to)


def submodule(repository: Repository, path: str) -> None:
    put(repository, ".gitmodules", f'[submodule "x"]\n\tpath = {path}\n\turl = x\n\tignore = all\n')
    inner = put(repository, f"{path}/x").parent
    for command in (["init", "-q"], ["add", "x"], ["commit", "-q", "-m", "x"]):
        repository.git("-C", str(inner), *command)


def hints(repository: Repository, number: int) -> None:
    """Cards that are right but for a hint each, and of ids that come first."""
    for n in range(number):
        repository.write(card_of(f"a{n}", kind="code", summary=f"Card {n} is here for no purpose."))


# What decides -------------------------------------------------------------------------------------
CHANGES: dict[str, tuple[Callable[[Repository], object], list[str]]] = {
    "a signer": (
        lambda r: put(r, SIGNERS, f"steward {KEY}\nmallory {KEY}\n"),
        [f"`{SIGNERS}` changed", f"the line `mallory {KEY}` is new"],
    ),
    "signers removed": (
        lambda r: (r.folder / SIGNERS).unlink(),
        [f"`{SIGNERS}` removed", f"the line `steward {KEY}` is gone"],
    ),
    "signers as a link": (
        lambda r: link(r, SIGNERS, "../../pyproject.toml"),
        [f"`{SIGNERS}` changed, **a file before, a link now**", "cannot be read"],
    ),
    "signers of a megabyte": (
        lambda r: put(r, SIGNERS, "x" * 2**20),
        [f"`{SIGNERS}` changed", "cannot be read"],
    ),
    "signers in another case": (
        lambda r: put(r, "sources/approvals/Allowed_Signers"),
        ["#### Who may sign", "`sources/approvals/Allowed_Signers` new"],
    ),
    "owners": (lambda r: put(r, ".github/CODEOWNERS", ""), ["`.github/CODEOWNERS` changed"]),
    "owners moved": (
        lambda r: move(r, ".github/CODEOWNERS", "docs/CODEOWNERS"),
        ["`.github/CODEOWNERS` removed", "`docs/CODEOWNERS` new"],
    ),
    "a workflow": (
        lambda r: put(r, ".github/workflows/evil.yml"),
        ["`.github/workflows/evil.yml` new"],
    ),
    "a workflow in another case": (
        lambda r: put(r, ".GitHub/Workflows/ci.yml"),
        ["#### Workflows", "`.GitHub/Workflows/ci.yml` new"],
    ),
    "a workflow with what is unseen": (
        lambda r: put(r, ".git\u200chub/workflows/ci.yml"),
        ["#### Workflows", "`.git[U+200C]hub/workflows/ci.yml` new"],
    ),
    "a policy": (
        lambda r: put(r, "catalog/policies/strict.yaml"),
        ["`catalog/policies/strict.yaml` changed"],
    ),
    "a policy removed": (
        lambda r: (r.folder / "catalog/policies/strict.yaml").unlink(),
        ["`catalog/policies/strict.yaml` removed"],
    ),
    "licences as a program": (
        lambda r: (r.folder / "sources/licenses.yaml").chmod(0o755),
        ["`sources/licenses.yaml` changed, **a file before, a program now**"],
    ),
    "a rule": (lambda r: put(r, "sources/cards/lint.py"), ["`sources/cards/lint.py` changed"]),
    "the review": (
        lambda r: put(r, "pipeline/review/review.py"),
        ["`pipeline/review/review.py` changed"],
    ),
    "a module that shadows": (lambda r: put(r, "yaml.py"), ["`yaml.py` new"]),
    "a module run at start": (lambda r: put(r, "sitecustomize.py"), ["`sitecustomize.py` new"]),
    "a file of a new kind": (lambda r: put(r, "catalog/x.so"), ["`catalog/x.so` new"]),
    "attributes": (lambda r: put(r, "sources/.gitattributes"), ["`sources/.gitattributes` new"]),
    "a connector": (
        lambda r: put(r, "sources/connectors/evil.py"),
        ["`sources/connectors/evil.py` new"],
    ),
    "a connector as a link": (
        lambda r: link(r, "sources/connectors/http.py", "/etc/passwd"),
        ["`sources/connectors/http.py` changed, **a file before, a link now**"],
    ),
    "a submodule": (
        lambda r: submodule(r, "sources/connectors/evil"),
        ["`sources/connectors/evil` new, another repository", "`.gitmodules` new"],
    ),
    "what is installed": (lambda r: put(r, "pyproject.toml"), ["`pyproject.toml` changed"]),
    "the checks": (lambda r: put(r, "Makefile"), ["`Makefile` changed"]),
    "a recipe": (
        lambda r: put(r, "pipeline/recipes/first.yaml"),
        ["`pipeline/recipes/first.yaml` changed"],
    ),
    "a test's helper": (lambda r: put(r, "tests/conftest.py"), ["`tests/conftest.py` new"]),
    "prose as a link": (
        lambda r: link(r, "docs/x.md", "/etc/passwd"),
        ["`docs/x.md` new, a link"],
    ),
    "a lock entry of another card": (
        lambda r: lock(r, harbour=entry(digit="b")),
        [f"`{LOCK}` changed", "the entry `harbour` of a card that **the branch leaves alone**"],
    ),
    "a lock entry of its own card": (
        lambda r: lock(r, harbour=entry(), tower=entry("tower_text-1.0-py3-none-any.whl")),
        ["the entry `tower`: lock entry nothing → `1.0, 1 files"],
    ),
    "a lock entry of no card": (
        lambda r: lock(r, harbour=entry(), nobody=entry()),
        ["the entry `nobody` of a card that **the branch leaves alone**"],
    ),
    "what was measured": (
        lambda r: lock(r, harbour={**entry(), "languages": {"sw": 1.0}}),
        ["the entry `harbour`", "what was measured of it, or when it was locked"],
    ),
    "the lock's writing": (
        lambda r: put(r, LOCK, (r.folder / LOCK).read_bytes() + b"\n"),
        ["no entry of it differs, only how they are written"],
    ),
    "a lock with a key twice": (
        lambda r: put(
            r,
            LOCK,
            f'{{"format": 1, "sources": {{"harbour": {json.dumps(entry())},'
            f' "harbour": {json.dumps(entry(digit="b"))}}}}}',
        ),
        ["**it cannot be read**", "the key 'harbour' stands there twice"],
    ),
    "a second lock": (
        lambda r: put(r, f"{LOCK}.json"),
        [f"`{LOCK}.json` new"],
    ),
    "a lock that is a folder": (
        lambda r: ((r.folder / LOCK).unlink(), put(r, f"{LOCK}/x")),
        [f"`{LOCK}/x` new", f"`{LOCK}` removed"],
    ),
    "code among the cards": (
        lambda r: put(r, "sources/entries/conftest.py"),
        ["`sources/entries/conftest.py` new", "is not named as an id is"],
    ),
    "a card of another ending": (
        lambda r: put(r, "sources/entries/evil.yml"),
        ["`sources/entries/evil.yml` new"],
    ),
    "cards in another case": (
        lambda r: put(r, "Sources/Entries/evil.yaml"),
        ["`Sources/Entries/evil.yaml` new"],
    ),
    "a card as a program": (
        lambda r: (r.folder / "sources/entries/garden.yaml").chmod(0o755),
        ["`sources/entries/garden.yaml` changed, **a file before, a program now**"],
    ),
    "a name that is no text": (
        lambda r: Path(os.fsdecode(os.fsencode(r.folder) + b"/\xff.py")).touch(),
        [r"`\xff.py` new"],
    ),
    "a name that ends in a blank": (
        lambda r: (put(r, "sources/cards/lint.py "), put(r, "sources/cards/lint.py\n")),
        ["`sources/cards/lint.py[U+0020]` new", "`sources/cards/lint.py[U+000A]` new"],
    ),
    "what a host said": (
        lambda r: lock(r, harbour={**entry(), "observed": [SEEN]}),
        ["what its hosts say of machines nothing → `robots allow at https://x/robots.txt`"],
    ),
    "a name that is markup": (
        lambda r: put(r, "a`\n- [x](http:evil.example) @team #1 <b>.py"),
        ["``a`[U+000A]- [x](http:evil.example) @team #1 <b>.py`` new"],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_decides_is_told_first_in_full_and_makes_the_verdict(repository, store, name):
    change, shown = CHANGES[name]
    hints(repository, 3)
    repository.write(card_of("tower"))
    change(repository)
    repository.commit()
    made = review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print)
    text = comment(made)
    heading = next(line for line in text.splitlines() if line.startswith("## "))
    assert heading.startswith("## Registry review: a maintainer must look")
    decides = text.partition("### What decides")[2].partition("\n### Cards")[0]
    for each in shown:
        told = decides if "named as" not in each and "twice" not in each else text
        assert each in told, told
    assert text.index("### What decides") < text.index("### Cards") < text.index("### Hints")
    outside, _ = rendered(text)
    assert not re.search(r"@|http|evil|#\d", outside)


# Rendering ----------------------------------------------------------------------------------------
BLOCKS = {"heading", "paragraph", "bullet_list", "list_item", "inline", "fence", "html_block"}
SPANS = {"text", "code_inline", "softbreak", "html_inline", "strong", "s"}
HTML = re.compile(r"<details><summary>\d+ excerpts, personal data masked</summary>|</details>")


def rendered(text: str) -> tuple[str, list[str]]:
    """A comment as CommonMark with the tables of a forge reads it: its prose, and its code.

    Of blocks, spans and HTML there is nothing but what the review itself writes.
    """
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    outside: list[str] = []
    codes: list[str] = []
    for block in parser.parse(text):
        assert re.sub("_(open|close)$", "", block.type) in BLOCKS, block
        if block.type == "fence":
            assert block.info == "text"
            codes.append(block.content)
        elif block.type == "html_block":
            assert block.content.strip() == MARK or HTML.fullmatch(block.content.strip()), block
        for span in block.children or ():
            assert re.sub("_(open|close)$", "", span.type) in SPANS, span
            if span.type == "code_inline":
                codes.append(span.content)
            elif span.type == "html_inline":
                assert span.content in ("<sub>", "</sub>"), span
            else:
                outside.append(span.content)
    return "\n".join(outside), codes


# What would take the room of what matters ---------------------------------------------------------
def test_a_flood_of_what_decides_takes_no_room_of_another_kind(repository, store):
    for n in range(3_000):
        put(repository, f"a{n}/CODEOWNERS")
    put(repository, "catalog/policies/strict.yaml", "name: lax\n")
    put(repository, "sources/connectors/http.py", "VERSION = 2\n")
    card(repository, "[")
    repository.commit()
    made = review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print)
    text = comment(made)
    assert len(text) < 65_536
    assert "who may sign or must agree (3,000); policies and licences (1); conn" in text
    assert "`catalog/policies/strict.yaml` changed" in text
    assert "`sources/connectors/http.py` changed" in text
    assert "🔴 `tower`" in text
    assert re.search(
        r"Left out for want of room:\*\* who may sign or must agree \(\S+ of 3,000\)", text
    )
    assert text.count("CODEOWNERS` new") > 1_000  # what the others leave
    assert whole(made).count("CODEOWNERS` new") == 3_000


def test_a_flood_of_hints_and_cards_takes_no_room_of_a_red_card(repository, store):
    hints(repository, 400)
    card(repository, "[", "zzz")
    put(repository, SIGNERS, f"mallory {KEY}\n")
    repository.commit()
    made = review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print)
    text = comment(made)
    assert len(text) < 65_536
    cards = text.partition("### Cards\n")[2].splitlines()
    assert cards[1].startswith("- 🔴 `zzz` added: **it cannot be read**")
    assert "- 🔴 `zzz`, `card`" in text.partition("### What decides")[0]
    assert f"the line `mallory {KEY}` is new" in text
    left_out = text.partition("**Left out for want of room:** ")[2]
    assert "card `a399`" in left_out
    assert rendered(text)


def test_the_many_errors_of_one_card_take_no_room_of_another(repository, store):
    repository.write(card_of("aaa", languages=[f"x{n}" for n in range(300)]))
    repository.write(card_of("tower", license={"spdx": " AND ".join(f"A{n}" for n in range(400))}))
    repository.commit()
    text = comment(review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print))
    assert "- 🔴 `tower`, `license.spdx`" in text.partition("### Cards")[0]
    assert "and 388 more that are neither" in text
    assert re.search(r"faults of the verdict \(\S+ of 313\)", text)


def test_an_approval_that_goes_is_told(repository, store):
    approval = {"source": "harbour", "card": "a" * 64, "role": "steward", "date": "2026-01-02"}
    path = "sources/approvals/harbour.yaml"
    put(repository, path, yaml.safe_dump({**approval, "basis": "It was read.", "signed_by": "me"}))
    repository.commit()
    (repository.folder / path).unlink()
    repository.commit()
    text = comment(review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print))
    assert "- `approval` is gone: `me, as steward on 2026-01-02: It was read.`" in text


def test_what_a_comment_leaves_out_is_whole_parts_and_the_command_prints_all(
    repository, store, monkeypatch, tmp_path
):
    summary = "Sentence of a summary that is long. " * 40
    for n in range(150):
        repository.write(card_of(f"c{n}", summary=f"{summary}{n} ends."))
    repository.commit()
    made = review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print)
    text = comment(made)
    shown = set(re.findall(r"^### `(c\d+)` added", text, re.MULTILINE))
    left_out = text.partition("**Left out for want of room:** ")[2]
    named = set(re.findall(r"card `(c\d+)`", left_out))
    assert shown
    assert shown | named == {f"c{n}" for n in range(150)}
    assert not shown & named
    for id_ in shown:  # each as long as where all of it is printed, but for its long value
        part = text.partition(f"### `{id_}` added")[2].partition("\n### ")[0]
        assert "- Custodian: " in part
    (command,) = re.findall(r"printed by `phloem (.*?)`", left_out)
    monkeypatch.chdir(repository.folder)
    asked = [*command.split(), "--samples", "0", "--root", str(tmp_path / "root")]
    printed = CliRunner().invoke(app, asked)
    assert printed.exit_code == 0, printed.output
    assert printed.stdout == whole(made)
    for n in range(150):
        assert f"{summary}{n} ends." in printed.stdout
    assert "Left out" not in printed.stdout
    assert " more characters" not in printed.stdout


def test_a_comment_of_letters_of_four_bytes_fits_what_posts_it(repository, store):
    for n in range(150):
        repository.write(card_of(f"c{n}", summary="\U00020000" * 2_000))
    repository.commit()
    text = comment(review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print))
    assert len(text.encode("utf-16-le")) // 2 <= 65_536
    assert len(text.encode()) <= 200_000  # as .github/workflows/registry-comment.yml asks


def test_a_long_value_hides_no_parameter_and_many_files_no_licence(repository, store):
    packages = {f"harmless-package-{n}": "1.0" for n in range(40)} | {"evil": "6.6"}
    access = {
        "connector": "pypi",
        "params": {"packages": packages, "include": ["x" * 500, "evil2"]},
    }
    repository.write(card_of("tower", access=access))
    repository.write(card_of("harbour", license={"spdx": "MIT"}, languages=["en", "sw"]))
    files = [{**entry()["files"][0], "name": f"harbour_text-1.0.{n}.whl"} for n in range(300)]
    lock(repository, harbour={**entry(), "files": files})
    repository.commit()
    text = comment(review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print))
    assert "- Parameter `packages.evil`: `6.6`" in text
    assert "- Parameter `include`: `evil2`" in text
    assert "- `license.spdx`: `CC-BY-4.0` → `MIT`" in text
    assert "- `languages` is new: `sw`" in text
    assert "card `harbour` (" in text.partition("**Left out for want of room:**")[2]


def test_an_order_that_differs_is_shown(repository, store):
    repository.write(card_of("garden", languages=["sw", "en"]))
    repository.commit()
    repository.write(card_of("garden", languages=["en", "sw"]))
    repository.commit()
    text = comment(review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print))
    assert "- `languages`: `sw, en` → `en, sw`" in text


def test_what_is_written_from_right_to_left_swaps_no_before_and_after(repository, store):
    repository.write(card_of("garden", custodian="שלום", languages=["sw"]))
    repository.commit()
    repository.write(card_of("garden", custodian="סלאם", languages=["sw"]))
    repository.commit()
    text = comment(review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print))
    assert "- `custodian`: `שלום` \u200e→\u200e `סלאם`" in text


# A card breaks its own line -----------------------------------------------------------------------
def dumped(**more: Any) -> str:
    return yaml.safe_dump(card_of("tower", **more), allow_unicode=True)


BROKEN: dict[str, str | bytes] = {
    "a bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "a tag": dumped() + "limits: !!python/object/apply:os.system [touch x]\n",
    "bytes for a name": dumped().replace("name: The tower", "name: !!binary aGVsbG8="),
    "no UTF-8": dumped().encode() + b"limits: \xff\xfe\n",
    "UTF-16": dumped().encode("utf-16"),
    "infinity": dumped(weight=float("inf")),
    "infinity as a text": dumped(weight="inf"),
    "no number": dumped(access={"connector": "pypi", "params": {"packages": [float("nan")]}}),
    "ten megabytes": dumped() + "# " + "x" * 10 * 2**20,
    "a key twice": dumped() + "name: Another\n",
    "a merge": dumped() + "<<: {name: Another}\n",
    "nothing": "",
    "a list": "- a\n- b\n",
    "two documents": dumped() + "---\n" + dumped(),
    "the name of another": dumped().replace("id: tower", "id: harbour"),
    "deep": "[" * 60_000,
    "a date of no month": dumped(license={"spdx": "MIT"}) + "period: 2026-13-41\n",
    "a number of 5,000 digits": dumped() + "weight: " + "9" * 5_000 + "\n",
    "a licence of brackets": dumped(license={"spdx": "(" * 3_000 + "MIT"}),
    "a control": dumped().replace("The tower", "\x07"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_card_that_breaks_breaks_its_own_line(repository, store, name):
    card(repository, BROKEN[name])
    repository.write(card_of("garden", name="The new garden", languages=["sw"]))
    repository.commit()
    made = review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print)
    text = comment(made)
    assert "- 🔴 `tower` added: **it cannot be read**" in text
    assert "- 🟢 `garden` changed" in text
    assert "`The garden` → `The new garden`" in text
    assert [each.id for each in made.cards] == ["garden", "tower"]
    assert made.errors
    assert made.must_be_looked_at
    assert "CC-BY-4.0" not in text  # the card whose name it takes is as it was
    assert rendered(text)


@pytest.mark.parametrize("kind", ["link", "folder", "repository"])
def test_a_card_that_is_no_file_breaks_its_own_line(repository, store, kind):
    path = "sources/entries/garden.yaml"
    (repository.folder / path).unlink()
    if kind == "link":
        link(repository, path, "/etc/passwd")
    elif kind == "folder":
        put(repository, f"{path}/x.yaml")
    else:
        submodule(repository, path)
    repository.commit()
    made = review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print)
    text = comment(made)
    assert "🔴 `garden` " in text or kind == "folder"
    assert made.errors
    assert made.must_be_looked_at
    assert f"`{path}" in text.partition("### What decides")[2].partition("\n### Cards")[0]


def test_a_card_that_stands_twice_in_a_tree_is_none(repository, store):
    """No git writes such a tree; each reader of one would see another of the two."""
    blobs = []
    for name in ("The one", "The other"):
        card(repository, dumped(name=name))
        blobs.append(repository.git("hash-object", "-w", "sources/entries/tower.yaml"))
    tree = b"".join(b"100644 tower.yaml\0" + bytes.fromhex(blob) for blob in blobs)
    for name in ("entries", "sources", ""):
        place = put(repository, "tree", tree)
        made = repository.git("hash-object", "-w", "-t", "tree", "--literally", str(place))
        tree = f"40000 {name}\0".encode() + bytes.fromhex(made)
    commit = repository.git("commit-tree", "-p", "HEAD", "-m", "x", made)
    text = comment(review(repository.folder, f"HEAD..{commit}", store, samples=0, told=print))
    assert "stands there twice" in text
    assert "- 🔴 `tower` added: **it cannot be read**" in text


_WRONG = [
    None,
    True,
    -1,
    1e308,
    "",
    " ",
    "x" * 5_000,
    [],
    [[]],
    {},
    {"": {}},
    ["x", None],
    "\u202e",
]


@pytest.mark.parametrize("field", sorted(Source.model_fields))
def test_a_value_of_any_kind_in_any_field_ends_no_review(repository, store, field):
    for n, value in enumerate(_WRONG):
        repository.write({**card_of(f"t{n}"), field: value} if field != "id" else card_of(f"t{n}"))
        inner = card_of(f"u{n}")
        if isinstance(inner.get(field), dict):
            inner[field] = dict.fromkeys([*inner[field], "params", "restrictions"], value)
            repository.write(inner)
    repository.commit()
    made = review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print)
    assert len(made.cards) >= len(_WRONG)
    assert rendered(comment(made))


def test_a_card_at_which_a_rule_ends_breaks_its_own_line(repository, store, monkeypatch):
    def ends(dossier: Any) -> Any:
        for _, one in dossier.cards():
            if one.id == "tower":
                raise ZeroDivisionError
        return iter(())

    rule = next(rule for rule in lint.RULES if rule.number == "S014")
    rules = [replace(each, check=ends) if each is rule else each for each in lint.RULES]
    monkeypatch.setattr(lint, "RULES", rules)
    repository.write(card_of("tower"))
    repository.write(card_of("garden", languages=["x"]))
    repository.commit()
    made = review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print)
    text = comment(made)
    assert "- 🔴 `tower` added: **it ended a rule: ZeroDivisionError**, 1 error" in text
    assert "- 🔴 `garden` changed: 1 error" in text


@pytest.mark.parametrize("broken", ["_described", "_no_sample", "_coverage"])
def test_a_card_that_breaks_the_review_breaks_its_own_line(repository, store, monkeypatch, broken):
    whole_ = getattr(reviewing, broken)

    def ends(first: Any, *rest: Any) -> Any:
        cards = getattr(first, "cards", {first.id: first} if hasattr(first, "id") else {})
        if "tower" in cards:
            raise ZeroDivisionError
        return whole_(first, *rest)

    monkeypatch.setattr(reviewing, broken, ends)
    repository.write(card_of("tower"))
    repository.write(card_of("garden", name="The new garden", languages=["sw"]))
    repository.commit()
    made = review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print)
    text = comment(made)
    assert "`The garden` → `The new garden`" in text
    if broken == "_coverage":
        assert "its languages cannot be counted: ZeroDivisionError" in text
    else:
        assert "- 🔴 `tower` added: **it broke the review: ZeroDivisionError**" in text


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (lambda: 1 / 0, "ended with ZeroDivisionError"),
        (lambda: time.sleep(60), "took longer than 1 s"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "ended its process: SIGKILL"),
        (lambda: os._exit(0), "ended its process: exit code 0"),
        (lambda: bytearray(2 * 2**30), "ended with MemoryError"),
        (lambda: subprocess.run(["sleep", "61"], check=False), "took longer than 1 s"),
        (lambda: (_ for _ in ()), "ended with PydanticSerializationError"),  # no sample
    ],
)
def test_a_sample_that_ends_in_any_way_breaks_its_own_line(
    repository, store, monkeypatch, does, said
):
    monkeypatch.setattr(reviewing, "_no_sample", lambda card, *_: "" if card.id == "tower" else "-")
    monkeypatch.setattr(reviewing, "SAMPLE_SECONDS", 1.0)
    monkeypatch.setattr(reviewing, "SAMPLE_MEMORY", 2**31)
    monkeypatch.setattr(reviewing, "looked_at", lambda *_: does())
    repository.write(card_of("tower"))
    repository.write(card_of("garden", name="The new garden", languages=["sw"]))
    repository.commit()
    text = comment(review(repository.folder, "HEAD~1..HEAD", store, samples=1, told=print))
    assert f"- 🔴 `tower` added: **its sample {said}**" in text
    assert "- Custodian: `The port`" in text
    assert "- 🟢 `garden` changed" in text
    alive = subprocess.run(["pgrep", "-P", str(os.getpid()), "-x", "sleep"], check=False)
    assert alive.returncode == 1


# What is markup -----------------------------------------------------------------------------------
CANARY = "kanari"
HOSTILE = [
    f"[{CANARY}](https://evil.example)",
    f"![{CANARY}](https://evil.example/x.png)",
    f"<img src=x onerror=alert('{CANARY}')>",
    f"</details><h1>{CANARY}",
    f"@{CANARY} closes #1 o/{CANARY}#2 GH-3",
    f"https://{CANARY}.example www.{CANARY}.example a@{CANARY}.example",
    f"\n\n# {CANARY}\n\n",
    f"\n\n| {CANARY} | b |\n|---|---|\n| c | d |\n",
    f"`{CANARY}` ``{CANARY}`` ```{CANARY}```",
    f"```\n</details>\n{CANARY}\n~~~",
    f"\r{CANARY}\u2028# {CANARY}\u0085- {CANARY}",
    f"<!-- {CANARY} --> <![CDATA[{CANARY}]]> &lt;{CANARY}&gt; &#64;{CANARY}",
    f"\\`{CANARY}\\` $`{CANARY}`$ $${CANARY}$$ ~~{CANARY}~~ **{CANARY}** :{CANARY}:",
    f"{MARK} {CANARY}",
    f"\u202e{CANARY}\u2066 good\u200bpkg{CANARY}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_value_is_code_and_nothing_else_wherever_it_stands(repository, store, text):
    terms = {"spdx": text, "evidence": text, "place": text, "url": text, "attribution": text}
    fields = dict.fromkeys(["name", "custodian", "reason", "limits", "contact", "period"], text * 3)
    access = {"connector": text, "params": {text: {text: [text, text]}}}
    repository.write(card_of("tower", license=terms, access=access, **fields))
    note = {"level": "personal", "note": text}
    repository.write(card_of("garden", personal_data=note, summary=text * 40, languages=[text]))
    repository.write(card_of("harbour", unknown={text: text}, region=[text], clean=[{text: {}}]))
    files = [{**entry()["files"][0], "name": text.replace("/", ""), "url": text}]
    lock(repository, tower={**entry(), "version": text, "files": files}, **{text: entry()})
    put(repository, SIGNERS, text)
    put(repository, "docs/" + text.replace("/", "").replace("\x00", "")[:100] + ".md")
    repository.commit()
    made = review(repository.folder, "HEAD~1..HEAD", store, samples=0, told=print)
    for said in (comment(made), whole(made)):
        outside, codes = rendered(said)
        assert CANARY not in outside
        assert not re.search(r"@|https?:|www\.|#\d|GH-|\b[0-9a-f]{7,}\b|\$|evil", outside), outside
        assert sum(CANARY in each for each in codes) > 10
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b]", said)
        assert said.count(MARK) - sum(each.count(MARK) for each in codes) == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_sample_is_code_and_nothing_else(text):
    found = SampledLanguage(text, True, 9, 1, 9, 0, 1.0)
    excerpt = Excerpt(text, text, text, text, 1.0, 2.0, text * 3)
    made = SourceSample(
        text,
        text,
        text,
        (1, 1),
        9,
        False,
        9,
        declared=(text,),
        languages=(found,),
        absent=(text,),
        mismatches=(f"{text}: not declared",),
        faults={text: 1},
        elsewhere={text: 1},
        verdicts={text: 1},
        counted=text,
        excerpts=(excerpt,),
    )
    shown = CardReview("tower", "added", sample=made, why_no_sample="")
    outside, _ = rendered(comment(Review("a" * 40, "b" * 40, cards=(shown,))))
    assert CANARY not in outside
