"""Approving, counting, proposing and checking: what tends the registry, as a person meets it."""

from __future__ import annotations

import ipaddress
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from inline_engine import inline
from signing import allow, new_key
from tiny_workspace import change_recipe, make_workspace, new_root
from typer.testing import CliRunner, Result

from phloem.catalog.bloom import ALSO, NATURAL, PROGRAMMING
from phloem.catalog.policy import POLICIES
from phloem.catalog.runs import load_run, newest_run
from phloem.catalog.store import Store
from phloem.pipeline import run as running
from phloem.pipeline.cli import sources as sources_group
from phloem.pipeline.cli.app import app
from phloem.pipeline.registry import stats
from phloem.pipeline.registry.registry import Registry
from phloem.pipeline.review.propose import QUESTIONS
from phloem.sources.cards.links import broken, links
from phloem.sources.cards.source import Source, approvals, sources
from phloem.sources.connectors import files
from phloem.sources.web import addresses, web

BASIS = "Read the terms and all eight documents."
TEAM = {"name": "team", "summary": "As production, for few documents.", "min_documents": 1}


def phloem(*arguments: str, typed: str | None = None) -> Result:
    """A command in this process, in a wide terminal."""
    runner = CliRunner(env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    return runner.invoke(app, arguments, input=typed)


def told(result: Result) -> str:
    """What a command says that ended well."""
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(result: Result, code: int) -> str:
    """The one line that a command refuses with."""
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose recipe is under a policy that asks for approval, as the working folder."""
    folder = make_workspace(tmp_path / "workspace")
    for card in (folder / "cards").glob("*.yaml"):
        card.write_text(
            card.read_text("utf-8").replace("evidence: none", "evidence: read"), "utf-8"
        )
    (folder / "policies").mkdir()
    policy = yaml.safe_load((POLICIES / "production.yaml").read_text("utf-8"))
    text = yaml.safe_dump({**policy, **TEAM, "max_quarantine_share": 1})
    (folder / "policies" / "team.yaml").write_text(text, "utf-8")
    with (folder / "phloem.toml").open("a", encoding="utf-8") as file:
        file.write('policies = ["policies"]\n')
    change_recipe(folder, "policy: quickstart", "policy: team")
    models = Path(os.environ.get("PHLOEM_MODELS", ".venv/models"))
    monkeypatch.setenv("PHLOEM_MODELS", str(models.resolve()))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def key(tmp_path: Path, workspace: Path) -> Path:
    """A key that the workspace lets sign as its steward."""
    made = new_key(tmp_path / "id")
    allow(workspace / "cards" / "approvals", made, "steward")
    return made


def approve(source: str, key: Path, *more: str) -> Result:
    options = ("--key", str(key), "--role", "steward", "--basis", BASIS)
    return phloem("sources", "approve", source, *options, *more)


# No card, no bytes --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "command", [("run", "tiny"), ("plan", "tiny"), ("run", "tiny", "--stage", "ingest")]
)
def test_run_of_unapproved_cards_is_refused_before_a_byte_is_fetched(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    def touched(*_: Any) -> None:
        pytest.fail("a source was touched that nobody has approved")

    for name in ("unavailable", "resolve", "fetch", "splits", "read"):
        monkeypatch.setattr(files, name, touched)
    root = tmp_path / "root"
    result = phloem(*command, "--root", str(root))
    line = refused(result, 1)
    assert "policy team does not admit 2 of the sources" in line
    assert "first: nobody has approved it; second: nobody has approved it" in line
    # What the run says of itself, and nothing else.
    assert {path.name for path in root.glob("*")} <= {"runs", "heartbeats"}


def test_run_of_approved_cards_records_who_signed_them(
    workspace: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "open_pool", inline)
    root = new_root(tmp_path / "root")
    told(approve("first", key))
    only_second = refused(phloem("run", "tiny", "--root", str(root)), 1)
    assert "does not admit 1 of the sources: second: nobody has approved it" in only_second
    told(approve("second", key))
    told(phloem("run", "tiny", "--root", str(root)))
    store = Store(str(root))
    record = load_run(store, newest_run(store))
    assert record["release"]
    for source in ("first", "second"):
        approval = record["sources"][source]["approval"]
        assert (approval["verified"], approval["by"], approval["fault"]) == (True, "steward", None)
        assert approval["card"] == record["sources"][source]["card"]
    query = ("catalog", "query", "select source, approved from sources", "--json")
    rows = json.loads(told(phloem(*query, "--root", str(root))))
    assert rows == [{"source": name, "approved": True} for name in ("first", "second")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("cards/first.yaml", "It is tiny.", "It is very small."), "its card has changed since"),
        (("cards/approvals/first.yaml", "role: steward", "role: owner"), "changed after it was"),
        (("cards/approvals/first.yaml", "signed_by: steward", "signed_by: owner"), "sign as owner"),
        (("cards/approvals/allowed_signers", "steward", "owner"), "sign as steward"),
        (
            ("cards/first.yaml", "status: active", "status: withdrawn\nreason: ask"),
            "status is 'withdrawn'",
        ),
    ],
)
def test_plan_approval_that_no_longer_binds_is_told(
    workspace: Path, key: Path, tmp_path: Path, change: tuple[str, str, str], reason: str
) -> None:
    change_recipe(workspace, "sources: [first, second]", "sources: [first]")
    told(approve("first", key))
    path, old, new = change
    text = (workspace / path).read_text("utf-8")
    assert old in text
    (workspace / path).write_text(text.replace(old, new), "utf-8")
    line = refused(phloem("plan", "tiny", "--root", str(tmp_path / "root")), 1)
    assert line.count("first: ") == 1
    assert reason in line


def test_plan_of_another_version_than_was_approved_is_refused(
    workspace: Path, key: Path, tmp_path: Path
) -> None:
    """Whoever changes the lock file alone has not asked who approved the card."""
    change_recipe(workspace, "sources: [first, second]", "sources: [first]")
    told(approve("first", key))
    root = str(new_root(tmp_path / "root"))
    told(phloem("plan", "tiny", "--root", root))
    path = workspace / "cards" / "sources.lock"
    before = json.loads(path.read_bytes())
    before["sources"]["first"]["version"] = "another"
    path.write_text(json.dumps(before), encoding="utf-8")
    line = refused(phloem("plan", "tiny", "--root", root), 1)
    assert "first: its lock entry has changed since it was approved" in line
    told(approve("first", key))
    told(phloem("plan", "tiny", "--root", root))


# Approve ------------------------------------------------------------------------------------------
def test_approve_writes_beside_the_card_and_says_what_it_replaces(
    workspace: Path, key: Path
) -> None:
    line = told(approve("first", key, "--date", "2026-01-31"))
    path = workspace / "cards" / "approvals" / "first.yaml"
    assert f"{path}: first approved by steward, steward, card " in line
    found = approvals([workspace / "cards"])["first"]
    assert (str(found.date), found.basis) == ("2026-01-31", BASIS)
    again = told(approve("first", key, "--date", "2026-02-01"))
    assert "in place of one by steward of 2026-01-31" in again
    assert str(approvals([workspace / "cards"])["first"].date) == "2026-02-01"


def test_approve_a_card_of_the_project_goes_into_the_workspace(workspace: Path, key: Path) -> None:
    told(approve("udhr", key))
    assert (workspace / "cards" / "approvals" / "udhr.yaml").is_file()
    assert "udhr" not in approvals()


def test_approve_with_a_strangers_key_writes_nothing(workspace: Path, tmp_path: Path) -> None:
    stranger = new_key(tmp_path / "stranger")
    line = refused(approve("first", stranger), 1)
    assert 'have this line added: PRINCIPAL namespaces="phloem-approval" ssh-ed25519 ' in line
    assert not (workspace / "cards" / "approvals" / "first.yaml").exists()


def test_approve_tells_every_fault_of_what_is_said(workspace: Path, key: Path) -> None:
    options = ("--key", str(key), "--role", "x", "--basis", "fine")
    line = refused(phloem("sources", "approve", "first", *options), 2)
    assert "--role: found 'x'" in line
    assert "--basis: found 'fine'" in line
    assert "did you mean first?" in refused(approve("firts", key), 2)
    assert phloem("sources", "approve", "first", "--key", "none").exit_code == 2


# Stats --------------------------------------------------------------------------------------------
def card(**changes: Any) -> Source:
    given = {
        "id": "tales",
        "name": "Tales",
        "summary": "Hadithi za pwani, zilizosimuliwa.",
        "homepage": "https://example.org/tales",
        "kind": "literature",
        "languages": ["sw"],
        "license": {"spdx": "CC-BY-4.0"},
        "access": {"connector": "files", "params": {"path": "https://example.org/t.jsonl"}},
        "custodian": "Nobody",
        "personal_data": {"level": "none"},
        "status": "active",
    }
    return Source.model_validate({**given, **changes})


def test_stats_count_each_part_once_and_each_language() -> None:
    pypi = {"connector": "pypi", "params": {"packages": ["x"]}}
    cards = [
        card(),
        card(id="a", access=pypi, kind="code", languages=["zxx"], domains=["Python", "web"]),
        card(id="b", languages=["pt-BR", "pt", "zh-TW"], status="proposed"),
        card(id="c", access={"connector": "nosuch"}),
        card(id="d", status="withdrawn", reason="gone"),
    ]
    value = stats.stats(Registry({each.id: each for each in cards}, {}, {}, {}, {}), {})
    assert value["parts"] == {"index": 1, "network": 1, "proposed": 1, "closed": 2}
    assert value["status"] == {"active": 3, "proposed": 1, "withdrawn": 1}
    assert value["language"]["sw"] == {"index": 0, "network": 1, "proposed": 0, "closed": 2}
    assert value["bloom"]["pt"] == {"index": 0, "network": 0, "proposed": 1, "closed": 0}
    assert value["bloom"]["zh-Hant"]["proposed"] == 1
    assert value["bloom"]["zh-Hans"]["proposed"] == 0
    assert value["programming"]["python"]["index"] == 1
    assert (len(value["bloom"]), len(value["programming"])) == (46, 13)
    assert value["headline"] == (
        "2 active sources (2 of them never fetched yet): 1 readable on a machine that"
        " reaches only package indexes, 1 more by anyone with a network; 1 proposed"
    )
    assert value["seen"] == {"fetched": 0, "never": 2}
    assert "0 of BLOOM's 46 natural languages, 0 of its 13" in stats.breadth(value)


def test_stats_of_the_project_agree_with_its_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    value = json.loads(told(phloem("sources", "stats", "--json")))
    statuses = [each.status for each in sources().values()]
    assert value["status"] == {name: statuses.count(name) for name in sorted(set(statuses))}
    assert value["parts"]["proposed"] == statuses.count("proposed")
    active = value["parts"]["index"] + value["parts"]["network"]
    assert active == statuses.count("active")
    text = told(phloem("sources", "stats"))
    assert text.startswith(value["text_headline"])
    assert [each["tag"] for each in value["text"]] == list(NATURAL)
    assert all(
        f"{' '.join([tag, *ALSO.get(tag, ())])} {name}" in text for tag, name in NATURAL.items()
    )
    assert all(f"\n{name} " in text for name in PROGRAMMING)


# Links --------------------------------------------------------------------------------------------
class Handler(BaseHTTPRequestHandler):
    """`/404` answers 404 and so on; `/to/X` redirects to X; `/cut` hangs up."""

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range")))  # type: ignore[attr-defined]
        name = self.path.strip("/")
        if name == "cut":
            self.close_connection = True
            return
        if name.startswith("to/"):
            self.send_response(302)
            self.send_header("Location", name.removeprefix("to/"))
        else:
            self.send_response(int(name) if name.isdigit() else 206)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setattr(addresses, "ALLOWED", (ipaddress.ip_network("127.0.0.1/32"),))
    monkeypatch.setattr(web, "DELAY", 0)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running_:
        running_.asked = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=running_.serve_forever, args=[0.01])
        thread.start()
        yield running_
        running_.shutdown()
        thread.join()


def address(server: ThreadingHTTPServer, path: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/{path}"


def test_links_of_cards_are_those_that_can_be_asked() -> None:
    urls = {"urls": ["https://example.org/a", "https://example.org/*.txt", "s3://bucket/x"]}
    repositories = {"repositories": {"https://example.org/r.git": {"license": "MIT"}}}
    found = links(
        [
            card(license={"spdx": "MIT", "url": "https://example.org/terms"}),
            card(id="a", access={"connector": "http", "params": urls}),
            card(id="b", access={"connector": "git", "params": repositories}),
        ]
    )
    assert found == {
        "https://example.org/a": ("a: access",),
        "https://example.org/r.git": ("b: access",),
        "https://example.org/t.jsonl": ("tales: access",),
        "https://example.org/tales": ("tales: homepage", "a: homepage", "b: homepage"),
        "https://example.org/terms": ("tales: license.url",),
    }


def test_broken_tells_gone_from_refused(server: ThreadingHTTPServer) -> None:
    names = ["fine", "416", "404", "410", "403", "429", "cut", "to//fine", "to//404"]
    asked = {address(server, name): (name,) for name in names}
    asked |= {"http://user:secret@127.0.0.1/": ("secret",), "http://nosuch.invalid/": ("lost",)}
    counted: list[int] = []
    found = {each.places[0]: each for each in broken(asked, counted.append)}
    assert counted == list(range(1, len(asked) + 1))
    assert {name: each.kind for name, each in found.items()} == {
        "404": "gone",
        "410": "gone",
        "cut": "not asked",
        "to//404": "gone",
        "secret": "gone",
        "lost": "not asked",
        "403": "refused",
        "429": "refused",
    }
    assert found["to//404"].reason == f"answers 404 at {address(server, '404')}"
    assert found["403"].reason == "answers 403"
    assert "secret" not in found["secret"].reason
    assert {span for _, span in server.asked} == {"bytes=0-0"}  # type: ignore[attr-defined]


def test_broken_link_into_somebodys_network_is_not_asked(server: ThreadingHTTPServer) -> None:
    inside = ["http://169.254.169.254/latest", "http://10.0.0.1/", "http://[::1]/"]
    redirect = address(server, "to/http://192.168.0.1/")
    found = broken(dict.fromkeys([*inside, redirect], ("x: homepage",)))
    assert [each.kind for each in found] == ["gone"] * 4
    assert all("no public address" in each.reason for each in found)


def test_check_links_prints_what_is_broken_and_exits_1(
    workspace: Path, server: ThreadingHTTPServer
) -> None:
    path = workspace / "cards" / "first.yaml"
    home = "https://example.org/first"
    text = path.read_text("utf-8")
    path.write_text(text.replace(home, address(server, "404")), "utf-8")
    result = phloem("sources", "check-links", "first")
    assert result.exit_code == 1
    assert "first: homepage" in result.stdout
    assert "1 links: 1 gone, 0 refused to machines, 0 could not be asked for" in result.stdout
    assert "asking for 1 links of 1 cards" in result.stderr
    path.write_text(text.replace(home, address(server, "403")), "utf-8")
    (row,) = json.loads(told(phloem("sources", "check-links", "first", "--json")))
    assert (row["kind"], row["reason"]) == ("refused", "answers 403")


def test_check_links_of_a_host_without_a_name_says_nothing_of_it(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "DELAY", 0)
    path = workspace / "cards" / "first.yaml"
    text = path.read_text("utf-8")
    path.write_text(text.replace("https://example.org/first", "http://nosuch.invalid/"), "utf-8")
    result = phloem("sources", "check-links", "first")
    assert result.exit_code == 3
    assert "0 gone, 0 refused to machines, 1 could not be asked for" in result.stdout
    assert "not asked" in result.stdout


# List and approvals -------------------------------------------------------------------------------
def listed(*options: str) -> list[str]:
    return [row["id"] for row in json.loads(told(phloem("sources", "list", "--json", *options)))]


def test_list_takes_one_value_of_each_option_and_all_options(workspace: Path) -> None:
    path = workspace / "cards" / "second.yaml"
    text = yaml.safe_load(path.read_text("utf-8"))
    text |= {"license": {"spdx": "CC-BY-NC-4.0 AND MIT"}, "languages": ["pt-BR"]}
    path.write_text(yaml.safe_dump(text), "utf-8")
    everything = listed()
    own = ("first", "second")
    assert set(own) < set(everything)
    assert {id_ for id_ in own if id_ in listed("--language", "pt")} == {"second"}
    both = listed("--language", "pt", "--language", "zh")
    assert set(own) < set(both) < set(everything)
    assert {id_ for id_ in own if id_ in listed("--obligation", "noncommercial")} == {"second"}
    assert {id_ for id_ in own if id_ in listed("--obligation", "none")} == {"first"}
    assert "second" in listed("--license", "MIT", "--language", "pt")
    assert "second" in listed("--license", "CC-BY-NC-4.0 AND MIT", "--status", "active")
    assert "second" not in listed("--license", "CC0-1.0", "--language", "pt")
    assert set(listed("--status", "active", "--status", "withdrawn")) < set(everything)
    assert " cards" in told(phloem("sources", "list", "--language", "pt")).splitlines()[-1]


def test_list_of_a_value_that_nothing_has_names_the_nearest(workspace: Path) -> None:
    said = refused(phloem("sources", "list", "--status", "activ", "--obligation", "atribution"), 2)
    assert "--obligation 'atribution' is none; did you mean attribution?" in said
    assert "--status 'activ' is none; did you mean active?" in said
    assert "--language 'xqz' is none; there are " in refused(
        phloem("sources", "list", "--language", "xqz"), 2
    )


def test_approvals_say_of_each_whether_it_counts_and_binds(workspace: Path, key: Path) -> None:
    told(approve("first", key))
    told(approve("second", key))
    path = workspace / "cards" / "second.yaml"
    path.write_text(path.read_text("utf-8").replace("It is tiny.", "It is very small."), "utf-8")
    rows = {row["card"]: row for row in json.loads(told(phloem("sources", "approvals", "--json")))}
    assert (rows["first"]["state"], rows["first"]["by"]) == ("approved", "steward")
    assert (rows["second"]["state"], rows["second"]["pin"]) == ("stale", "bound")
    assert "1 approved, 1 stale" in told(phloem("sources", "approvals"))


def test_approval_that_nobody_signed_is_told_in_the_table(workspace: Path) -> None:
    folder = workspace / "cards" / "approvals"
    folder.mkdir(exist_ok=True)
    said = {"source": "first", "card": "0" * 64, "role": "steward", "date": "2026-01-31"}
    (folder / "first.yaml").write_text(yaml.safe_dump({**said, "basis": BASIS}), "utf-8")
    (row,) = json.loads(told(phloem("sources", "approvals", "--json")))
    assert (row["card"], row["state"], row["pin"]) == ("first", "unsigned", "free")
    assert (row["role"], row["date"], row["by"]) == ("steward", "2026-01-31", None)


# Pins ---------------------------------------------------------------------------------------------
def test_lock_check_tells_of_each_pin_what_became_of_it_and_writes_nothing(
    workspace: Path,
) -> None:
    lock = workspace / "cards" / "sources.lock"
    before = lock.read_bytes()
    result = phloem("sources", "lock", "--check", "first", "second")
    assert "2 ok, 0 newer, 0 not asked, 0 changed, 0 vanished" in told(result)
    rows = json.loads(told(phloem("sources", "lock", "--check", "--json", "first")))
    assert [(row["id"], row["state"], row["by"]) for row in rows] == [("first", "ok", "sha256")]
    text = workspace / "second.jsonl"
    content = text.read_bytes()
    text.write_bytes(content + content[: content.index(b"\n") + 1])
    result = phloem("sources", "lock", "--check", "first", "second")
    assert result.exit_code == 1
    assert [line.split()[:2] for line in result.stdout.splitlines()[1:3]] == [
        ["second", "changed"],
        ["first", "ok"],
    ]
    assert lock.read_bytes() == before


def test_lock_check_of_what_nobody_could_ask_for_is_no_success(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "unavailable", lambda _: "no client here")
    result = phloem("sources", "lock", "--check", "first")
    assert result.exit_code == 3
    assert "not asked" in result.stdout
    assert "no client here" in result.stdout
    assert "no source named" in refused(phloem("sources", "lock", "--check", "frist"), 2)
    (workspace / "cards" / "sources.lock").unlink()
    said = refused(phloem("sources", "lock", "--check", "first"), 2)
    assert "nothing is locked of first; `phloem sources lock first`" in said
    assert "--json is for --check" in refused(phloem("sources", "lock", "--json", "first"), 2)


# New ----------------------------------------------------------------------------------------------
NEW = {
    "id": "hadithi",
    "name": "Hadithi za pwani",
    "summary": "Tales of the coast in Swahili, told by nobody: all twelve, chosen for a test.",
    "homepage": "https://example.org/hadithi",
    "kind": "literature",
    "languages": "sw, en",
    "license": "LicenseRef-unknown",
    "connector": "files",
    "params": "{path: 'https://example.org/hadithi.jsonl'}",
    "custodian": "Nobody in particular",
    "personal-data": "none",
    "reason": "Nobody has read the terms; the site names none.",
}


def options(**changes: str) -> list[str]:
    given = {**NEW, **{name.replace("_", "-"): text for name, text in changes.items()}}
    return [word for name, text in given.items() for word in (f"--{name}", text) if text]


def test_new_writes_a_card_that_lint_takes(workspace: Path) -> None:
    line = told(phloem("sources", "new", *options()))
    path = workspace / "cards" / "hadithi.yaml"
    assert line.startswith(f"{path}: proposed; ")
    assert line.count("\n") == 1
    found = sources([workspace / "cards"])["hadithi"]
    assert (found.status, found.languages) == ("proposed", ("sw", "en"))
    assert list(yaml.safe_load(path.read_text("utf-8"))) == [
        *("id", "name", "summary", "homepage", "kind", "languages", "license", "access"),
        *("custodian", "personal_data", "status", "reason"),
    ]
    again = refused(phloem("sources", "new", *options(name="Another")), 2)
    assert "there is a card 'hadithi' already" in again


def test_new_without_a_terminal_names_all_that_is_missing(workspace: Path) -> None:
    line = refused(phloem("sources", "new", *options(name="", params="", personal_data="")), 2)
    assert "missing: --name, --params, --personal-data; on a terminal they are asked for" in line
    personal = refused(phloem("sources", "new", *options(personal_data="personal")), 2)
    assert "missing: --personal-note;" in personal


def test_new_on_a_terminal_asks_for_what_is_missing(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources_group, "_is_terminal", lambda: True)
    typed = f"{NEW['name']}\npersonal\nTellers of 1912, by name.\n"
    result = phloem("sources", "new", *options(name="", personal_data=""), typed=typed)
    assert result.exit_code == 0, result.output
    assert "Name, as its makers call it" in result.stdout
    found = sources([workspace / "cards"])["hadithi"]
    assert found.name == NEW["name"]
    assert found.personal_data.note == "Tellers of 1912, by name."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "../../up"}, "id: found '../../up'"),
        ({"id": "Hadithi"}, "id: found 'Hadithi'"),
        ({"kind": "novels", "homepage": "none"}, "homepage: found 'none'"),
        ({"params": "{path: ["}, "--params '{path: [' is no YAML"),
        ({"params": "path"}, "access.params: found 'path'"),
        ({"params": "!!python/object/apply:os.getcwd []"}, "is no YAML"),
        ({"params": "{path: a, path: b}"}, "the key path stands in line 1 already"),
        ({"params": "{path: &a [x], hosts: *a}"}, "anchors and aliases are not read"),
        ({"params": "{path: .inf}"}, ".inf is no finite number"),
        ({"personal_data": "some"}, "personal_data.level: found 'some'"),
    ],
)
def test_new_card_of_a_wrong_shape_is_not_written(
    workspace: Path, change: dict[str, str], said: str
) -> None:
    before = sorted(workspace.rglob("*.yaml"))
    assert said in refused(phloem("sources", "new", *options(**change)), 2)
    assert sorted(workspace.rglob("*.yaml")) == before


def test_new_card_that_breaks_a_rule_is_told_at_once(workspace: Path) -> None:
    result = phloem("sources", "new", *options(license="CC-BY", languages="swahili"))
    assert result.exit_code == 1
    assert "S004 error license.spdx: " in result.stdout
    assert "S017 error languages: " in result.stdout
    assert (workspace / "cards" / "hadithi.yaml").is_file()


def test_new_questions_are_the_options_of_the_command() -> None:
    command = typer.main.get_command(app)
    found = command.commands["sources"].commands["new"].params  # type: ignore[attr-defined]
    assert {param.opts[0].removeprefix("--") for param in found} == {
        name.replace("_", "-") for name in QUESTIONS
    }


# Import -------------------------------------------------------------------------------------------
CANDIDATE: dict[str, Any] = {
    "id": "ngano",
    "name": "Ngano dzevaShona",
    "kind": "poetry",
    "languages": ["sn"],
    "license": "CC-BY-4.0",
    "homepage": "https://ngano.example.org/",
    "access": {"type": "huggingface", "id": "ngano/ngano"},
    "evidence": "a list of lists",
}


def test_import_proposes_what_clashes_with_none_and_tells_the_rest(
    workspace: Path, tmp_path: Path
) -> None:
    def like(id_: str, **changes: Any) -> str:
        own = {"homepage": f"https://{id_}.example.net/", "id": id_}
        return json.dumps(
            {**CANDIDATE, "access": {"type": "pypi", "package": id_}, **own, **changes}
        )

    path = tmp_path / "candidates.jsonl"
    rows = [
        json.dumps(CANDIDATE),
        like("first"),
        like("again", access={"type": "huggingface", "id": "Ngano/Ngano"}),
        like("same-place", homepage="https://www.ngano.example.org/x"),
        like("wiki", access={"type": "wikimedia_dump", "dump": "snwiki"}, license="No idea"),
        like("odd", kind="patents", homepage=None, access={"type": "ftp"}),
        "{broken",
        "[]",
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    result = phloem("sources", "import", str(path))
    assert result.exit_code == 1
    said = result.stdout
    assert "left out: line 2 (first): the id first is of first" in said
    assert "left out: line 3 (again): the data set Ngano/Ngano is of ngano" in said
    assert "left out: line 4 (same-place): the domain ngano.example.org is of ngano" in said
    odd = next(line for line in said.splitlines() if "line 6 (odd)" in line)
    assert all(part in odd for part in ("kind: 'patents' is none", "access.type", "homepage"))
    assert "no card: line 7" in said
    assert "no card: line 8: no JSON object" in said
    card = sources([workspace / "cards"])["ngano"]
    assert (card.status, card.kind, card.license.spdx) == ("proposed", "literature", "CC-BY-4.0")
    assert card.access.params == {"dataset": "ngano/ngano"}
    assert "a list of lists" in (card.reason or "")
    assert card.evidence == "none"
    again = phloem("sources", "import", str(path))
    assert "left out: line 1 (ngano): the id ngano is of ngano" in again.stdout
