"""The review of a branch, on real commits: what it says, and what a hostile one cannot do."""

import hashlib
import json
import re
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from outside import require
from registry_branch import Repository, card_of
from tiny_workspace import ARTICLES, new_root
from typer.testing import CliRunner

from phloem.catalog.store import Store
from phloem.pipeline.cli.app import app
from phloem.pipeline.registry.fetch import keep_file
from phloem.pipeline.review.commits import CommitError, read_branch
from phloem.pipeline.review.review import changes, review
from phloem.reports.review import MARK, MOST_CHARACTERS, Review, comment
from phloem.sources.cards.approvals import sign, write_approval
from phloem.sources.cards.lock import Entry, write_lock
from phloem.sources.cards.source import Approval, Source, card_hash
from phloem.sources.connector import Pin, PinnedFile, pin_hash

KEPT_HERE = "the secret of this machine 7261"
HOSTILE = (
    "@everyone see http://evil.example [click](http://evil.example) ![x](http://evil.example/x.png)"
    " <img src=x onerror=alert(1)> <!-- --> </details> | a \\| b | `tick` ```fence``` #1 \u202eevil"
)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with one commit of two cards."""
    made = Repository(tmp_path / "repository")
    made.write(card_of("harbour"))
    made.write(card_of("garden", languages=["sw"]))
    write_lock(made.lock_file, {})
    made.commit()
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(new_root(tmp_path / "root")))


def reviewed(repository: Repository, store: Store, **more: Any) -> tuple[Review, str]:
    """The review of the last commit, and its comment."""
    told: list[str] = []
    made = review(
        repository.folder, "HEAD~1..HEAD", store, samples=more.pop("samples", 5), told=told.append
    )
    return made, comment(made)


def outside_code(text: str) -> str:
    """What of a comment a forge reads as Markdown: neither blocks of code nor spans of it."""
    text = re.sub(r"(?ms)^(`{3,})text$.*?^\1$", "", text)
    return re.sub(r"(?<!`)(`+)(?!`)[^\n]+?(?<!`)\1(?!`)", "", text)


# What it says -------------------------------------------------------------------------------------
def test_review_of_a_changed_card_tells_what_it_means(repository, store):
    card = card_of("harbour", languages=["en", "yo"], license={"spdx": "CC-BY-NC-SA-4.0"})
    card["summary"] = card["summary"].replace("being short", "being long")
    card["access"]["params"]["packages"] = {"harbour-text": "2.0"}
    repository.write(card)
    repository.commit()
    made, text = reviewed(repository, store)
    assert text.startswith(MARK)
    assert "Cards: changed `harbour`." in text
    fields = {each.field: (each.before, each.after) for each in made.cards[0].changes}
    assert fields["languages"] == (None, "yo")
    assert fields["license.spdx"] == ("CC-BY-4.0", "CC-BY-NC-SA-4.0")
    assert fields["access.params.packages.harbour-text"] == ("1.0", "2.0")
    assert fields["summary"][1] == card["summary"]
    assert made.cards[0].more == ("share_alike", "noncommercial")
    assert "Policy `quickstart`: does not read it" in text
    assert made.errors == 0


def test_review_of_a_new_and_a_removed_card_tells_both(repository, store):
    repository.write(card_of("tower", kind="news"))
    (repository.folder / "sources" / "entries" / "garden.yaml").unlink()
    repository.commit()
    made, text = reviewed(repository, store)
    assert [(each.id, each.what) for each in made.cards] == [
        ("garden", "removed"),
        ("tower", "added"),
    ]
    assert "- Kind: `news`" in text
    assert "withdrawn and not removed" in text


def test_review_of_languages_counts_active_cards_before_and_after(repository, store):
    for id_ in ("harbour", "garden"):
        languages = ["yo"] if id_ == "harbour" else ["sw"]
        repository.write(card_of(id_, status="active", languages=languages))
    repository.commit()
    made, text = reviewed(repository, store)
    assert [(each.tag, each.before, each.after) for each in made.languages] == [
        ("sw", 0, 1),
        ("yo", 0, 1),
    ]
    assert "Yoruba (`yo`): 0 active cards → 1, the first" in text
    assert made.errors  # both are active with nothing read
    assert text.splitlines()[2].startswith("## Registry review: ")
    assert " to mend" in text.splitlines()[2]
    repository.write(card_of("harbour", languages=["yo"]))
    repository.commit()
    assert "**none is left**" in reviewed(repository, store)[1]


def test_review_finds_what_a_branch_breaks_in_cards_that_it_leaves_alone(repository, store):
    twin = card_of("aaa", access=card_of("harbour")["access"])
    repository.write(twin)
    repository.commit()
    made, text = reviewed(repository, store)
    (found,) = [each for each in made.findings if each.rule == "S007"]
    assert found.file == "sources/entries/harbour.yaml"
    assert "sources/entries/aaa.yaml" in found.message
    assert "/tmp" not in text  # noqa: S108 - no path of this machine is told


def test_review_of_nothing_says_so(repository, store):
    (repository.folder / "README.md").write_text("x", encoding="utf-8")
    repository.commit()
    made, text = reviewed(repository, store)
    assert "nothing to mend" in text
    assert "No card is changed." in text
    assert (made.decides, made.prose) == ((), ("README.md",))


def test_review_with_three_dots_leaves_out_what_the_base_did_since(repository, store):
    repository.git("checkout", "--quiet", "-b", "topic")
    repository.write(card_of("tower"))
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    repository.write(card_of("harbour", name="Renamed"))
    repository.commit()
    two = review(repository.folder, "main..topic", store, samples=0, told=print)
    three = review(repository.folder, "main...topic", store, samples=0, told=print)
    assert [each.id for each in two.cards] == ["harbour", "tower"]
    assert [each.id for each in three.cards] == ["tower"]


@pytest.mark.parametrize(
    "span", ["HEAD", "nothing..HEAD", "--output=x..HEAD", "HEAD~1..$(touch x)", "a b..HEAD", ".."]
)
def test_review_of_what_is_no_pair_of_commits_is_refused(repository, span):
    with pytest.raises(CommitError):
        read_branch(repository.folder, span)
    assert not (repository.folder / "x").exists()


def test_comment_is_never_longer_than_a_forge_takes(repository, store):
    for number in range(200):
        repository.write(card_of(f"c{number}", summary=f"Sentence {number} of many. " * 30))
    repository.commit()
    made, text = reviewed(repository, store)
    assert len(made.cards) == 200
    assert len(text) < MOST_CHARACTERS + 1_000
    assert "**Left out for want of room:**" in text


def test_changes_of_lists_and_prose_are_short():
    long = " ".join(f"word{n}" for n in range(100))
    before = {"a": ["x", "y"], "b": long, "c": 1}
    after = {"a": ["y", "z"], "b": long.replace("word50", "other"), "d": None, "e": "new"}
    found = {each.field: (each.before, each.after) for each in changes(before, after)}
    assert found["a"] == ("x", "z")
    assert found["b"][1] == "… word46 word47 word48 word49 other word51 word52 word53 word54 …"
    assert found["c"] == ("1", None)
    assert found["e"] == (None, "new")
    assert "d" not in found


# The sample ---------------------------------------------------------------------------------------
WHEEL = {"packages": {"tower_text": "1.0"}, "include": ["*.txt"]}


def locked_wheel(tmp_path: Path, store: Store, name: str, text: str) -> Pin:
    """A pin of a wheel that the root holds already, so that nothing is fetched."""
    wheel = tmp_path / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for number in range(6):
            archive.writestr(f"{name}/page{number}.txt", f"{text} {number}")
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    keep_file(store, wheel, sha256)
    return Pin("1.0", (PinnedFile(wheel.name, sha256, wheel.stat().st_size),))


def test_review_samples_a_locked_card_of_a_package_index(repository, store, tmp_path):
    pin = locked_wheel(tmp_path, store, "tower_text", ARTICLES["en"])
    access = {
        "connector": "pypi",
        "params": {"packages": {"tower_text": "1.0"}, "include": ["*.txt"]},
    }
    repository.write(card_of("tower", languages=["hi"], access=access))
    write_lock(repository.lock_file, {"tower": Entry(pin, "2026-01-01")})
    repository.commit()
    made, text = reviewed(repository, store)
    (card,) = made.cards
    assert card.sample is not None
    assert card.sample.documents == 6
    assert "**Languages not as declared:** `tower`." in text
    assert "**Mismatch:** `en`" in text
    again, _ = reviewed(repository, store, samples=0)
    assert again.cards[0].sample is None
    assert "have used the time" in again.cards[0].why_no_sample


def test_review_leaves_out_the_rewrites_and_rules_of_a_card(repository, store, tmp_path):
    pin = locked_wheel(tmp_path, store, "tower_text", ARTICLES["en"])
    access = {
        "connector": "pypi",
        "params": {"packages": {"tower_text": "1.0"}, "include": ["*.txt"]},
    }
    rule = {"name": "none", "column": "word_count", "max": 0}
    repository.write(card_of("tower", access=access, keep=[rule], clean=["no_such_op"]))
    write_lock(repository.lock_file, {"tower": Entry(pin, "2026-01-01")})
    repository.commit()
    made, _ = reviewed(repository, store)
    assert made.cards[0].sample is not None
    assert "none" not in made.cards[0].sample.verdicts


# Hostile branches ---------------------------------------------------------------------------------
def test_review_of_hostile_prose_links_mentions_and_closes_nothing(repository, store):
    card = card_of("tower", name=HOSTILE, summary=HOSTILE * 3, custodian=HOSTILE, reason=HOSTILE)
    card["license"] = {"spdx": HOSTILE, "evidence": HOSTILE, "place": HOSTILE}
    card["languages"] = [HOSTILE]
    card["access"]["connector"] = HOSTILE
    card["personal_data"]["note"] = HOSTILE
    repository.write(card)
    (repository.folder / f"{HOSTILE.split(maxsplit=1)[0]} `x` [y](z).txt").write_text(
        "x", encoding="utf-8"
    )
    repository.commit()
    made, text = reviewed(repository, store)
    assert made.errors
    left = outside_code(text)
    assert not re.search(r"@|http|evil|\]\(|onerror|`|#1\b|\|", left), left
    assert set(re.findall(r"<[^>]*>", left)) <= {MARK, "<sub>", "</sub>"}
    assert "\u202e" not in text


def test_review_follows_no_link_and_reads_no_file_of_this_machine(repository, store, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text(KEPT_HERE, encoding="utf-8")
    entries = repository.folder / "sources" / "entries"
    (entries / "linked.yaml").symlink_to(secret)
    repository.lock_file.unlink()
    repository.lock_file.symlink_to(secret)
    access = {"connector": "files", "params": {"path": str(secret), "format": "txt"}}
    repository.write(card_of("reader", access=access))
    repository.commit()
    made, text = reviewed(repository, store)
    assert KEPT_HERE not in text
    assert {each.file for each in made.findings if "is a link" in each.message} == {
        "sources/entries/linked.yaml",
        "sources/sources.lock",
    }
    assert "S036" in {each.rule for each in made.findings if each.file.endswith("reader.yaml")}
    (card,) = [each for each in made.cards if each.id == "reader"]
    assert (card.sample, card.why_no_sample) == (
        None,
        "only what package indexes serve is fetched for a review",
    )


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A server inside this machine, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(KEPT_HERE.encode())

        do_HEAD = do_GET  # noqa: N815 - as the server looks for it

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", asked
        httpd.shutdown()
        thread.join()


def test_review_asks_no_address_of_this_network(repository, store, server):
    address, asked = server
    pins = {}
    for connector, params in {
        "files": {"path": f"{address}/a.txt"},
        "http": {"urls": [f"{address}/b.txt"]},
        "git": {"repositories": {f"{address}/c.git": {"revision": "a" * 40, "license": "MIT"}}},
    }.items():
        access = {"connector": connector, "params": params}
        repository.write(card_of(connector, homepage=f"{address}/home", access=access))
        pins[connector] = Entry(
            Pin("1", (PinnedFile("a.txt", "a" * 64, 10, f"{address}/d.txt"),)), "2026-01-01"
        )
    write_lock(repository.lock_file, pins)
    repository.commit()
    made, text = reviewed(repository, store)
    assert asked == []
    assert KEPT_HERE not in text
    assert [each.sample for each in made.cards] == [None] * 3


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("name", "../../../../etc/passwd"),
        ("name", "/etc/passwd"),
        ("sha256", "../../secret"),
        ("sha256", 7),
        ("bytes", "10"),
        ("bytes", -1),
        ("url", 7),
        ("url", ["https://evil.example"]),
    ],
)
def test_review_fetches_nothing_by_a_lock_entry_that_no_machine_wrote(
    repository, store, file, change
):
    repository.write(card_of("tower"))
    pin = {"name": "tower-1.0.whl", "sha256": "a" * 64, "bytes": 10, "url": None, file: change}
    entry = {"version": "1", "files": [pin], "fetched_on": "2026-01-01", "languages": None}
    repository.lock_file.write_text(
        json.dumps({"format": 1, "sources": {"tower": entry}}), encoding="utf-8"
    )
    repository.commit()
    made, _ = reviewed(repository, store)
    assert made.errors
    assert made.cards[0].why_no_sample == "its lock entry is none that a machine wrote"


def test_review_tells_every_host_file_and_hash_that_a_lock_changes(repository, store):
    access = {"connector": "http", "params": {"urls": ["https://good.example/a.txt"]}}
    repository.write(card_of("tower", access=access))
    good = PinnedFile("a.txt", "a" * 64, 10, "https://good.example/a.txt")
    write_lock(repository.lock_file, {"tower": Entry(Pin("1", (good,)), "2026-01-01")})
    repository.commit()
    evil = replace(good, sha256="b" * 64, url="https://evil.example/a.txt")
    write_lock(repository.lock_file, {"tower": Entry(Pin("1", (evil,)), "2026-01-01")})
    repository.commit()
    made, text = reviewed(repository, store)
    assert [(each.field, each.before, each.after) for each in made.cards[0].changes] == [
        ("locked hosts", "good.example", "evil.example"),
        ("lock entry", "1, 1 files with 0.0 MB", "1, 1 files with 0.0 MB"),
        (
            "locked file a.txt",
            "sha256 aaaaaaaaaaaa…, 10 bytes at https://good.example/a.txt",
            "sha256 bbbbbbbbbbbb…, 10 bytes at https://evil.example/a.txt",
        ),
    ]
    assert [each.rule for each in made.findings] == ["R05", "S033"]
    assert made.errors == 2
    assert "evil.example" in text


def test_review_of_a_lock_of_many_files_tells_each(repository, store):
    repository.write(card_of("tower"))
    files = tuple(PinnedFile(f"tower_text-1.0.{n}.whl", "a" * 64, 10) for n in range(40))
    write_lock(repository.lock_file, {"tower": Entry(Pin("1", files), "2026-01-01")})
    repository.commit()
    changes = reviewed(repository, store)[0].cards[0].changes
    assert [each.field for each in changes] == [
        "lock entry",
        *(f"locked file {file.name}" for file in files),
    ]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "[" * 20_000,
        "checked_on: 2026-13-41\nid: tower\n",
        "id: !!python/object/apply:os.system [touch x]\n",
        "\xff\xfe",
        "",
        "just words",
        "id: tower\nname: 7\nlanguages: {a: b}\n",
        "x" * 100_000,
        yaml.safe_dump(card_of("tower", license={"spdx": "(" * 3_000 + "MIT"})),
        yaml.safe_dump(card_of("tower", license={"spdx": "MIT AND " * 900 + "MIT"})),
        yaml.safe_dump(card_of("tower", languages=["x" * 5_000])),
    ],
)
def test_review_of_a_broken_card_is_an_error_and_no_crash(repository, store, text):
    path = repository.folder / "sources" / "entries" / "tower.yaml"
    path.write_bytes(text.encode("utf-8" if "\xff" not in text else "latin-1"))
    repository.commit()
    made, said = reviewed(repository, store)
    assert any(each.is_error and each.file.endswith("tower.yaml") for each in made.findings)
    assert len(said) < 20_000
    assert not (repository.folder / "x").exists()


@pytest.mark.parametrize(
    "name", ["$(touch x).yaml", "`x`.yaml", "a/b.yaml", "Upper.yaml", "a\nb.yaml"]
)
def test_review_of_a_file_that_is_named_otherwise_is_an_error(repository, store, name):
    path = repository.folder / "sources" / "entries" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(card_of("tower")), encoding="utf-8")
    repository.commit()
    made, text = reviewed(repository, store)
    assert any("is not named as an id is" in each.message for each in made.findings)
    assert "`" not in outside_code(text)


def test_review_refuses_the_id_that_no_licence_is_asked_of(repository, store):
    repository.write(card_of("local"))
    repository.commit()
    made, _ = reviewed(repository, store)
    assert any("kept for a user's own files" in each.message for each in made.findings)


def test_review_runs_nothing_of_the_branch(repository, store, tmp_path):
    trace = tmp_path / "trace"
    evil = f"import pathlib; pathlib.Path({str(trace)!r}).write_text('ran')\n"
    connectors = repository.folder / "sources" / "connectors"
    connectors.mkdir()
    (connectors / "evil.py").write_text(evil, encoding="utf-8")
    (repository.folder / "sitecustomize.py").write_text(evil, encoding="utf-8")
    (repository.folder / "phloem.toml").write_text('ops = ["evil"]\n', encoding="utf-8")
    (repository.folder / ".gitattributes").write_text(
        "*.yaml diff=evil filter=evil textconv=evil\n", encoding="utf-8"
    )
    hooks = repository.folder / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    repository.write(card_of("tower", access={"connector": "evil", "params": {}}))
    repository.commit()
    _, text = reviewed(repository, store)
    assert not trace.exists()
    assert "no connector is named" in text
    assert "a maintainer must look" in text


# Approvals ----------------------------------------------------------------------------------------
@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    require("ssh-keygen")
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True
    )
    return path


def approve(
    repository: Repository, key: Path, card: dict[str, Any], pin: Pin | None = None
) -> None:
    """Sign a card with a key that the repository's own list of keys names."""
    folder = repository.folder / "sources" / "approvals"
    public = " ".join(key.with_suffix(".pub").read_text(encoding="utf-8").split()[:2])
    signers = folder / "allowed_signers"
    signers.write_text(f'steward namespaces="phloem-approval" {public}\n', encoding="utf-8")
    approval = Approval(
        source=card["id"],
        card=card_hash(Source.model_validate(card)),
        pin=pin_hash(pin) if pin else None,
        role="steward",
        date="2026-01-02",
        basis="Read its terms and a hundred of its texts.",
    )
    write_approval(sign(approval, key, signers), folder)


def test_review_says_that_an_approval_by_a_key_of_the_base_binds(repository, store, key):
    card = card_of("harbour")
    approve(repository, key, card)
    repository.commit()
    repository.write({**card, "status": "paused"})
    repository.commit()
    assert "it binds, signed by `steward`" in reviewed(repository, store)[1]
    repository.write({**card, "name": "Another name"})
    repository.commit()
    made, text = reviewed(repository, store)
    assert "**it does not bind**" in text
    assert "S015" in {each.rule for each in made.findings}


def test_review_says_that_a_new_lock_entry_is_not_what_was_approved(repository, store, key):
    card = card_of("harbour")
    pins = [
        Pin(build, (PinnedFile(f"harbour_text-1.0-{build}-py3-none-any.whl", "a" * 64, 10),))
        for build in "12"
    ]
    write_lock(repository.lock_file, {"harbour": Entry(pins[0], "2026-01-01")})
    approve(repository, key, card, pins[0])
    repository.commit()
    write_lock(repository.lock_file, {"harbour": Entry(pins[1], "2026-01-01")})
    repository.commit()
    made, text = reviewed(repository, store, samples=0)
    assert made.errors == 0
    assert "of another lock entry, by `steward`" in text
    assert "**the new one is not approved**" in text


def test_review_counts_no_approval_by_a_key_that_the_branch_brings(repository, store, key):
    approve(repository, key, card_of("harbour"))
    repository.commit()
    made, text = reviewed(repository, store)
    assert "**its signature does not count**" in text
    assert "**It changes what decides or signs:** who may sign or must agree" in text
    assert "is new" in text.partition("#### Who may sign")[2]
    assert any(each.rule == "S030" and each.is_error for each in made.findings)


# The command --------------------------------------------------------------------------------------
def test_command_prints_the_comment_and_exits_by_its_verdict(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(repository.folder)
    root = str(new_root(tmp_path / "root"))
    repository.write(card_of("harbour", name="Another name"))
    repository.commit()
    result = CliRunner().invoke(app, ["sources", "review", "HEAD~1..HEAD", "--root", root])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(MARK)
    repository.write(card_of("harbour", languages=["x"]))
    repository.commit()
    result = CliRunner().invoke(app, ["sources", "review", "HEAD~1..HEAD", "--root", root])
    assert result.exit_code == 1
    assert "1 error to mend" in result.stdout
    result = CliRunner().invoke(app, ["sources", "review", "no..HEAD", "--root", root])
    assert result.exit_code == 1
    assert "git knows no commit" in result.stderr
