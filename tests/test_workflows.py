"""The forge's workflows: what they may do, and their own commands run on repositories made here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from outside import require

from phloem.pipeline.review.propose import LABELS, propose
from phloem.reports.review import MARK
from phloem.sources.cards.source import Kind

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".github"
OURS = ("registry-review", "registry-comment", "propose-source")
HEAD = "a" * 40
needs_jq = pytest.mark.needs("jq")

# In place of the forge's own client: answers out of a folder, and writes down what it was told.
GH = """\
#!{python}
import json, pathlib, subprocess, sys
here = pathlib.Path({folder!r})
arguments = sys.argv[1:]
with (here / "asked.jsonl").open("a") as file:
    body = arguments[arguments.index("--input") + 1] if "--input" in arguments else None
    told = json.load(open(body)) if body else None
    file.write(json.dumps([arguments, told]) + "\\n")
if arguments[0] == "api" and "--method" not in arguments:
    path = next(each for each in arguments[1:] if not each.startswith("-"))
    name = path.partition("?")[0].replace("/", "_") + ".json"
    if not (here / name).exists():
        sys.exit("HTTP 404")
    text = (here / name).read_text()
    if "--jq" in arguments:
        query = arguments[arguments.index("--jq") + 1]
        text = subprocess.run(["jq", "-r", query], input=text, capture_output=True, text=True,
                              check=True).stdout
    sys.stdout.write(text)
"""


def workflow(name: str) -> dict[str, Any]:
    """A workflow as plain data; YAML 1.1 reads its `on` as true."""
    made: dict[Any, Any] = yaml.safe_load((FOLDER / "workflows" / f"{name}.yml").read_bytes())
    return {"on" if key is True else key: value for key, value in made.items()}


def steps(name: str) -> list[dict[str, Any]]:
    (job,) = workflow(name)["jobs"].values()
    return list(job["steps"])


def step(name: str, title: str) -> dict[str, Any]:
    (found,) = [each for each in steps(name) if each.get("name") == title]
    return found


def run(
    made: dict[str, Any], folder: Path, event: dict[str, str], **more: str
) -> subprocess.CompletedProcess[str]:
    """A step's own commands, in the forge's shell, with its expressions filled in by an event."""
    filled = {
        key: re.sub(r"\$\{\{ ([^}]+) \}\}", lambda match: event[match[1]], str(value))
        for key, value in made.get("env", {}).items()
    }
    # https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax: `shell: bash`
    options = ["--noprofile", "--norc", "-eo", "pipefail"] if made.get("shell") else ["-e"]
    return subprocess.run(
        [require("bash"), *options, "-c", made["run"]],
        cwd=folder,
        env={**os.environ, **filled, **more},
        capture_output=True,
        text=True,
        check=False,
    )


def git(folder: Path, *arguments: str) -> str:
    command = [require("git"), "-c", "user.name=T", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


# What they may do ---------------------------------------------------------------------------------
@pytest.mark.parametrize("name", OURS)
def test_workflow_of_strangers_input_runs_no_expression_in_a_script(name):
    for each in steps(name):
        assert "${{" not in each.get("run", "")


@pytest.mark.parametrize("name", OURS)
def test_workflow_of_strangers_input_pins_every_action_by_its_commit(name):
    used = [each["uses"] for each in steps(name) if "uses" in each]
    assert used
    for each in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", each)


@pytest.mark.parametrize("name", OURS)
def test_workflow_has_a_time_limit_and_keeps_no_credentials(name):
    (job,) = workflow(name)["jobs"].values()
    assert job["timeout-minutes"] <= 30
    for each in job["steps"]:
        if "checkout" in each.get("uses", ""):
            assert each["with"]["persist-credentials"] is False


def test_review_workflow_may_read_only_and_sees_no_secret():
    made = workflow("registry-review")
    assert list(made["on"]) == ["pull_request"]
    assert made["permissions"] == {"contents": "read"}
    assert "permissions" not in made["jobs"]["review"]
    text = (FOLDER / "workflows" / "registry-review.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    assert "token" not in text.partition("jobs:")[2]
    (checkout,) = [each for each in steps("registry-review") if "checkout" in each.get("uses", "")]
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"


def test_comment_workflow_checks_nothing_out_and_writes_to_pull_requests_alone():
    made = workflow("registry-comment")
    assert made["on"] == {
        "workflow_run": {"workflows": [workflow("registry-review")["name"]], "types": ["completed"]}
    }
    assert made["permissions"] == {}
    assert made["jobs"]["comment"]["permissions"] == {
        "actions": "read",
        "pull-requests": "write",
    }
    assert not any("checkout" in each.get("uses", "") for each in steps("registry-comment"))


def test_propose_workflow_shows_its_token_to_the_last_step_alone():
    *before, last = steps("propose-source")
    assert "GH_TOKEN" in last["env"]
    assert not any("env" in each for each in before)


def test_review_workflow_calls_targets_that_the_makefile_has():
    (made,) = [each for each in steps("registry-review") if each.get("name") == "Set up the base"]
    targets = made["run"].split()[1:]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_pull_request_template_has_at_most_eight_facts():
    text = (FOLDER / "pull_request_template.md").read_text(encoding="utf-8")
    assert 0 < text.count("- [ ]") <= 8


def test_code_owners_name_files_that_are_there():
    for line in (FOLDER / "CODEOWNERS").read_text(encoding="utf-8").splitlines():
        if line.startswith("/"):
            path, *owners = line.split()
            assert owners
            assert (ROOT / path.strip("/")).exists() or path.endswith("allowed_signers"), path


# The review ---------------------------------------------------------------------------------------
CARD = """\
id: tower
name: The tower
summary: What the tower holds was written for this test. It was chosen for being short.
homepage: https://example.org/tower
kind: legal
languages: [TAG]
license: {spdx: CC-BY-4.0}
access: {connector: http, params: {urls: ["https://example.org/a.txt"]}}
custodian: The port
personal_data: {level: none}
status: proposed
reason: Nobody has read its terms.
"""


@pytest.fixture
def checkout(tmp_path: Path) -> tuple[Path, str]:
    """A checkout of a base, whose origin has a pull request; and the base's commit."""
    origin = tmp_path / "origin"
    (origin / "sources" / "entries").mkdir(parents=True)
    git(origin, "init", "--quiet", "--initial-branch=main")
    (origin / "sources" / "entries" / "tower.yaml").write_text(CARD.replace("TAG", "en"), "utf-8")
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "--message=base")
    base = git(origin, "rev-parse", "HEAD")
    git(tmp_path, "clone", "--quiet", str(origin), "checkout")
    (tmp_path / "checkout" / ".venv").symlink_to(sys.prefix)
    return tmp_path / "checkout", base


def pull_request(checkout: Path, tag: str, more: str = "README.md") -> str:
    """Make the origin's pull request 7, which changes a card and one more file; its head."""
    origin = checkout.parent / "origin"
    git(origin, "checkout", "--quiet", "--detach", "main")
    (origin / "sources" / "entries" / "tower.yaml").write_text(CARD.replace("TAG", tag), "utf-8")
    (origin / more).write_text("x", "utf-8")
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "--message=head")
    head = git(origin, "rev-parse", "HEAD")
    git(origin, "update-ref", "refs/pull/7/head", head)
    git(origin, "checkout", "--quiet", "main")
    return head


def test_review_workflow_looks_at_every_pull_request():
    assert workflow("registry-review")["on"] == {"pull_request": None}


@pytest.mark.parametrize(
    ("tag", "more", "code"),
    [("yo", "README.md", 0), ("yoruba-tongue!", "README.md", 1), ("yo", "yaml.py", 0)],
)
def test_review_workflow_leaves_the_comment_whatever_its_verdict(
    checkout, tmp_path, tag, more, code
):
    folder, base = checkout
    head = pull_request(folder, tag, more)
    event = {
        "github.event.pull_request.base.sha": base,
        "github.event.pull_request.head.sha": head,
        "github.event.pull_request.number": "7",
    }
    fetched = run(step("registry-review", "Fetch the head as data"), folder, event)
    assert fetched.returncode == 0, fetched.stderr
    assert "en" in (folder / "sources" / "entries" / "tower.yaml").read_text("utf-8")
    temp = tmp_path / "temp"
    summary = tmp_path / "summary.md"
    own = {"RUNNER_TEMP": str(temp), "GITHUB_STEP_SUMMARY": str(summary)}
    done = run(step("registry-review", "Review"), folder, event, **own)
    assert done.returncode == code, done.stderr
    assert ("::warning::A maintainer must look" in done.stdout) == (more == "yaml.py")
    made = (temp / "review" / "comment.md").read_text(encoding="utf-8")
    assert made.startswith(MARK)
    assert "`languages`: `en` → " in made
    assert summary.read_text(encoding="utf-8") == made
    said = json.loads((temp / "review" / "pull-request.json").read_bytes())
    assert said == {"number": 7, "head": head}


def test_review_workflow_stops_where_the_head_has_moved_on(checkout):
    folder, base = checkout
    pull_request(folder, "yo")
    event = {
        "github.event.pull_request.base.sha": base,
        "github.event.pull_request.head.sha": HEAD,
        "github.event.pull_request.number": "7",
    }
    assert run(step("registry-review", "Fetch the head as data"), folder, event).returncode


# The comment --------------------------------------------------------------------------------------
@pytest.fixture
def forge(tmp_path: Path) -> Path:
    """A folder of answers of the forge: pull request 7 is open, and nobody commented on it."""
    folder = tmp_path / "forge"
    folder.mkdir()
    gh = folder / "gh"
    gh.write_text(GH.format(python=sys.executable, folder=str(folder)), encoding="utf-8")
    gh.chmod(0o755)
    answer(folder, "pulls/7", {"state": "open", "head": {"sha": HEAD}, "changed_files": 1})
    answer(folder, "pulls/7/files", [{"filename": "sources/entries/tower.yaml"}])
    answer(folder, "issues/7/comments", [])
    return folder


def answer(forge: Path, path: str, value: Any) -> None:
    name = f"repos/o/r/{path}".replace("/", "_") + ".json"
    (forge / name).write_text(json.dumps(value), encoding="utf-8")


def artifact(tmp_path: Path, text: str = f"{MARK}\n\nA review.\n", **more: Any) -> None:
    folder = tmp_path / "temp" / "review"
    folder.mkdir(parents=True)
    (folder / "comment.md").write_text(text, encoding="utf-8")
    said = {"number": 7, "head": HEAD, **more}
    (folder / "pull-request.json").write_text(json.dumps(said), encoding="utf-8")


def post(tmp_path: Path, forge: Path) -> tuple[int, list[tuple[list[str], Any]]]:
    """Run the step that posts; its exit code and what it wrote to the forge."""
    event = {
        "github.token": "a token",
        "github.repository": "o/r",
        "github.event.workflow_run.head_sha": HEAD,
    }
    more = {"RUNNER_TEMP": str(tmp_path / "temp"), "PATH": f"{forge}:{os.environ['PATH']}"}
    done = run(step("registry-comment", "Post or edit the one comment"), tmp_path, event, **more)
    log = forge / "asked.jsonl"
    asked = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return done.returncode, [(args, told) for args, told in asked if "--method" in args]


@needs_jq
def test_comment_workflow_posts_a_first_comment(tmp_path, forge):
    artifact(tmp_path)
    code, wrote = post(tmp_path, forge)
    ((arguments, told),) = wrote
    assert code == 0
    assert arguments[1:4] == ["--method", "POST", "repos/o/r/issues/7/comments"]
    assert told == {"body": f"{MARK}\n\nA review.\n"}


@needs_jq
def test_comment_workflow_edits_its_own_comment_and_no_other(tmp_path, forge):
    artifact(tmp_path)
    answer(
        forge,
        "issues/7/comments",
        [
            {"id": 1, "user": {"login": "stranger"}, "body": f"{MARK}\nmine"},
            {"id": 2, "user": {"login": "github-actions[bot]"}, "body": "of another workflow"},
            {"id": 3, "user": {"login": "github-actions[bot]"}, "body": f"{MARK}\nold"},
        ],
    )
    code, wrote = post(tmp_path, forge)
    ((arguments, _),) = wrote
    assert code == 0
    assert arguments[1:4] == ["--method", "PATCH", "repos/o/r/issues/comments/3"]


@needs_jq
@pytest.mark.parametrize(
    ("text", "more"),
    [
        (f"{MARK}\n", {"number": 8}),
        (f"{MARK}\n", {"number": "7; echo"}),
        (f"{MARK}\n", {"number": -7}),
        (f"{MARK}\n", {"head": "b" * 40}),
        (f"{MARK}\n", {"padding": "x" * 2_000}),
    ],
)
def test_comment_workflow_posts_no_artifact_that_is_not_its_own(tmp_path, forge, text, more):
    artifact(tmp_path, text, **more)
    code, wrote = post(tmp_path, forge)
    assert (code != 0, wrote) == (True, [])


@needs_jq
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("pulls/7", {"state": "closed", "head": {"sha": HEAD}, "changed_files": 1}),
        ("pulls/7", {"state": "open", "head": {"sha": "b" * 40}, "changed_files": 1}),
        ("pulls/7/files", []),
    ],
)
def test_comment_workflow_posts_nothing_to_a_pull_request_that_does_not_fit(
    tmp_path, forge, path, value
):
    artifact(tmp_path)
    answer(forge, path, value)
    code, wrote = post(tmp_path, forge)
    assert (code != 0, wrote) == (True, [])


@needs_jq
@pytest.mark.parametrize(
    ("text", "path", "value", "why"),
    [
        ("no mark", "pulls/7/files", [{"filename": "a"}], "ended without a comment"),
        ("", "pulls/7/files", [{"filename": "a"}], "ended without a comment"),
        (f"{MARK}\n{'x' * 300_000}", "pulls/7/files", [{"filename": "a"}], "without a comment"),
        (
            f"{MARK}\nAll is well.",
            "pulls/7",
            {"state": "open", "head": {"sha": HEAD}, "changed_files": 9_999},
            "It changes 9999 files",
        ),
        (
            f"{MARK}\nAll is well.",
            "pulls/7/files",
            [{"filename": "a"}, {"filename": ".github/workflows/x.yml"}],
            "may have written its own review",
        ),
        (
            f"{MARK}\nAll is well.",
            "pulls/7/files",
            [{"filename": "a", "previous_filename": ".github/workflows/x.yml"}],
            "may have written its own review",
        ),
    ],
)
def test_comment_workflow_says_where_there_is_no_review_to_trust(
    tmp_path, forge, text, path, value, why
):
    artifact(tmp_path, text)
    answer(forge, path, value)
    code, wrote = post(tmp_path, forge)
    ((_, told),) = wrote
    assert code == 0
    assert told["body"].startswith(f"{MARK}\n\n## Registry review: a maintainer must look\n")
    assert why in told["body"]
    assert "All is well" not in told["body"]


@needs_jq
@pytest.mark.parametrize("path", ["pulls/7", "pulls/7/files", "issues/7/comments"])
def test_comment_workflow_posts_nothing_where_the_forge_does_not_answer(tmp_path, forge, path):
    artifact(tmp_path)
    (forge / (f"repos/o/r/{path}".replace("/", "_") + ".json")).unlink()
    code, wrote = post(tmp_path, forge)
    assert (code != 0, wrote) == (True, [])


@needs_jq
def test_comment_workflow_reads_no_link_out_of_an_artifact(tmp_path, forge):
    artifact(tmp_path)
    comment = tmp_path / "temp" / "review" / "comment.md"
    comment.rename(tmp_path / "elsewhere.md")
    comment.symlink_to(tmp_path / "elsewhere.md")
    code, wrote = post(tmp_path, forge)
    assert (code != 0, wrote) == (True, [])


# The proposal -------------------------------------------------------------------------------------
def form() -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((FOLDER / "ISSUE_TEMPLATE" / "source.yml").read_bytes())
    return made


def test_form_asks_for_what_the_program_reads():
    asked = [each for each in form()["body"] if each["type"] != "markdown"]
    assert {each["attributes"]["label"]: each["id"] for each in asked} == dict(LABELS)
    optional = [each["id"] for each in asked if not each.get("validations", {}).get("required")]
    assert optional == ["personal_note"]
    (kinds,) = [each["attributes"]["options"] for each in asked if each["id"] == "kind"]
    assert tuple(kinds) == get_args(Kind)


def body(**more: str) -> str:
    """A filled-in form as the forge writes it."""
    given = {
        "id": "tower-tales",
        "name": "Tales of the tower",
        "summary": "Tales that the keepers wrote. All of them, for they are in Yoruba.",
        "homepage": "https://example.org/tower",
        "kind": "literature",
        "languages": "yo, en",
        "license": "CC-BY-4.0",
        "connector": "http",
        "params": "urls: ['https://example.org/a.txt']",
        "custodian": "The port",
        "personal_data": "none",
        "personal_note": "_No response_",
        "reason": "Nobody has read its terms.",
        **more,
    }
    return "\r\n\r\n".join(f"### {label}\r\n\r\n{given[field]}" for label, field in LABELS.items())


def proposed(tmp_path: Path, text: str, forge: Path) -> tuple[Path, list[list[str]]]:
    """Run the workflow's own steps on an issue; the proposal's folder, and what gh was told."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"issue": {"number": 12, "body": text}}), encoding="utf-8")
    origin, work = tmp_path / "origin.git", tmp_path / "work"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    git(tmp_path, "clone", "--quiet", str(origin), str(work))
    (work / "sources" / "entries").mkdir(parents=True)
    (work / "README.md").write_text("x", encoding="utf-8")
    git(work, "checkout", "--quiet", "-b", "main")
    git(work, "add", "README.md")
    git(work, "commit", "--quiet", "--message=x")
    git(work, "push", "--quiet", "origin", "main")
    (work / ".venv").symlink_to(sys.prefix)
    more = {
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_WORKSPACE": str(work),
        "PATH": f"{forge}:{os.environ['PATH']}",
        "PYTHONSAFEPATH": "1",
    }
    written = run(step("propose-source", "Write the card"), work, {}, **more)
    assert written.returncode == 0, written.stderr
    facts = {
        "github.token": "a token",
        "github.event.issue.number": "12",
        "github.repository": "o/r",
        "github.event.repository.default_branch": "main",
    }
    title = "Open the pull request, or say what is wrong"
    opened = run(step("propose-source", title), work, facts, **more)
    assert opened.returncode == 0, opened.stderr
    asked = [json.loads(line)[0] for line in (forge / "asked.jsonl").read_text().splitlines()]
    return tmp_path / "temp" / "proposal", asked


def test_proposal_becomes_a_card_on_a_branch_and_a_pull_request(tmp_path, forge):
    folder, asked = proposed(tmp_path, body(), forge)
    branch = "source/tower-tales-12"
    card = git(tmp_path / "work", "show", f"origin/{branch}:sources/entries/tower-tales.yaml")
    assert card.startswith("# yaml-language-server: $schema=../schema.json\nid: tower-tales\n")
    assert yaml.safe_load(card)["languages"] == ["yo", "en"]
    assert yaml.safe_load(card)["status"] == "proposed"
    (created,) = [each for each in asked if each[:2] == ["pr", "create"]]
    assert created[created.index("--title") + 1] == "Propose the source tower-tales"
    assert "Closes #12" in (folder / "comment.md").read_text(encoding="utf-8")


HOSTILE = [
    {"id": "../../.github/workflows/evil"},
    {"id": "$(touch x)"},
    {"id": "tower; touch x"},
    {"id": "udhr"},  # a card that there is
    {"params": "a: &a [x, x]\nb: [*a, *a]"},
    {"params": "when: 2026-13-41"},
    {"params": "!!python/object/apply:os.system [touch x]"},
    {"kind": "malware"},
    {"homepage": "javascript:alert(1)"},
    {"summary": "x" * 30_000},
]


def test_proposal_that_makes_no_card_is_answered_and_opens_nothing(tmp_path, forge):
    folder, asked = proposed(tmp_path, body(id="$(touch x)"), forge)
    assert [each[:2] for each in asked] == [["issue", "comment"]]
    assert "No card can be made" in (folder / "comment.md").read_text(encoding="utf-8")
    assert not list(tmp_path.rglob("x"))


@pytest.mark.parametrize("change", HOSTILE)
def test_proposal_that_is_wrong_or_hostile_makes_no_card(tmp_path, change):
    issue = {"number": 12, "body": body(**change)}
    assert not propose({"issue": issue}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["comment.md"]
    said = (tmp_path / "comment.md").read_text(encoding="utf-8")
    assert "No card can be made" in said
    assert len(said) < 2_000


def test_proposal_of_hostile_prose_is_written_as_text(tmp_path):
    evil = '"; touch x; $(touch x) `touch x`\n\n### Id\n\nother\n\nstatus: active\n@everyone'
    issue = {"number": 12, "body": body(summary=evil, name="${{ github.token }}")}
    assert propose({"issue": issue}, tmp_path)
    card = yaml.safe_load((tmp_path / "card.yaml").read_text(encoding="utf-8"))
    assert (card["id"], card["status"]) == ("tower-tales", "proposed")
    assert "touch x" in card["summary"]
    assert card["name"] == "${{ github.token }}"
    assert "@everyone" not in (tmp_path / "comment.md").read_text(encoding="utf-8")


def test_proposal_of_an_empty_issue_names_what_is_missing(tmp_path):
    assert not propose({"issue": {"number": 12, "body": None}}, tmp_path)
    assert "`id: found ''" in (tmp_path / "comment.md").read_text(encoding="utf-8")
