"""What the pages show is typed in a checkout of its own, page by page, and does what they say.

The checkout reads no package index: its recipe `quickstart` has the one source that lies in the
package. Its commands run in one process, and do the tasks of runs there, without Beam.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import shown
from shown import ROOT
from tiny_workspace import new_root

NOT_TYPED = {
    r"make (quickstart|test|check|wheel)": "sets an environment up, or needs one that make set up",
    r"\S*pip install": "fetches packages from an index",
    r"\S*phloem sources new": "asks a person",
    r"\S*phloem sources approve": "needs the key of a signer",
    r"\S*phloem sources (lock|sample) ": "asks a package index",
    r"\S*phloem sources review main\.\.HEAD": "samples the new card out of a package index",
    r"phloem bench": "measures for minutes",
    r"phloem quality train": "reads a folder `web` of one's own",
    r"phloem thresholds": "reads a dozen packages, and measures for minutes",
    r"phloem langid": "reads dozens of packages, and trains or measures for minutes",
    r"phloem plan .*--runner dataflow": "needs Beam's client: test_dataflow.py",
    r"export AWS_|.* --root s3:": "needs a bucket: test_object_store_run.py has one",
    r"(python3 -m venv spark|mvn|export S|\$S|SPARK_|PYTHONSAFEPATH=)": "needs Spark: `make spark`",
    r"#!|phloem run RECIPE --root /shared": "needs a batch queue: tests/pipeline/test_share.py",
    r"OTEL_": "needs a collector: tests/pipeline/watch/test_telemetry.py is one",
}
"""What no test types, by how it or its script begins, and why; test_shown.py looks at all."""

GIT_NAMES = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]

CANDIDATE = {
    "id": "ngano",
    "name": "Ngano dzevaShona",
    "kind": "poetry",
    "languages": ["sn"],
    "homepage": "https://ngano.example.org/",
    "access": {"type": "pypi", "package": "ngano"},
}

SERVER = """\
import json, sys
from inline_engine import inline
from typer.testing import CliRunner
from phloem.pipeline import run
from phloem.pipeline.cli.app import app
run.open_pool = inline
for line in sys.stdin:
    done = CliRunner().invoke(app, json.loads(line))
    sys.__stdout__.write(json.dumps([done.exit_code, done.output]) + "\\n")
    sys.__stdout__.flush()
"""

LOCK = """
from pathlib import Path
from phloem.sources.connector import Pin, PinnedFile
from phloem.sources.cards.lock import write_pin
wheel = PinnedFile("tomlkit-0.15.2-py3-none-any.whl", "0" * 64, 1)
write_pin("tomlkit-code", Pin("0.15.2", (wheel,)), [], languages=None)
"""  # as `phloem sources lock` would


@dataclass
class Checkout:
    """A copy of the project in which commands are typed.

    Attributes:
        folder: Where it lies.
        environment: Of its commands.
        server: The process that does what `phloem` is asked.
    """

    folder: Path
    environment: dict[str, str]
    server: subprocess.Popen[str]

    def type(self, line: str) -> tuple[int, str]:
        """Exit code and output of a line of a page."""
        (only, *others) = shown.simple(line)
        if only[0].endswith("phloem") and not others and line.startswith(only[0]):
            assert self.server.stdin
            assert self.server.stdout
            self.server.stdin.write(json.dumps(only[1:]) + "\n")
            self.server.stdin.flush()
            code, said = json.loads(self.server.stdout.readline())
            return code, said
        done = subprocess.run(
            ["bash", "-ec", line],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def checkout(pytestconfig: pytest.Config) -> Iterator[Checkout]:
    """The checkout, with every example where CONTRIBUTING puts it, after one run.

    It lies at the same place in every run of the tests: compiled kernels are kept by their path.
    """
    folder = pytestconfig.cache.mkdir("walked") / "phloem"
    shutil.rmtree(folder, ignore_errors=True)
    copy_to(folder)
    for block in shown.blocks(ROOT / "CONTRIBUTING.md"):
        if block.place:
            (folder / block.place).write_text(block.text, encoding="utf-8")
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PHLOEM_ROOT"},
        **{
            f"GIT_{who}_{what}": "a@b"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
        "PATH": f"{folder}/.venv/bin:{os.environ['PATH']}",
        "PYTHONPATH": f"{folder}:{ROOT}/tests/support",
        "PYTHONSAFEPATH": "1",
        "PIP_NO_INDEX": "1",
        "COLUMNS": "200",
    }
    subprocess.run(
        ["bash", "-ec", "git init -qb main && git add --all && git commit -qm 'As it was'"],
        cwd=folder,
        env=environment,
        check=True,
    )
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    made = Checkout(folder, environment, server)
    try:
        new_root(folder / "phloem-data")
        code, said = made.type("phloem run quickstart")
        assert code == 0, said
        yield made
    finally:
        server.kill()
        server.communicate()
        shutil.rmtree(folder)


def copy_to(folder: Path) -> None:
    """The files of the project, an environment that make finds current, and texts of one's own."""
    left_out = shutil.ignore_patterns(".git", ".[!g]*", "__pycache__", "build", "dist", "*-data")
    shutil.copytree(ROOT, folder, symlinks=True, ignore=left_out)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, more in (("python", ""), ("phloem", " -m phloem.pipeline.cli")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}"{more} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(folder / name, folder / ".venv" / name)
    recipe = folder / "pipeline" / "recipes" / "quickstart.yaml"
    text = recipe.read_text(encoding="utf-8")
    cut = re.sub(r"^sources:\n(  - .*\n)+", "sources: [udhr]\n", text, flags=re.MULTILINE)
    recipe.write_text(cut, encoding="utf-8")
    (folder / "texts").mkdir()
    sentence = "Kila mtu ana haki ya kuishi, haki ya uhuru na haki ya usalama wa nafsi yake. "
    (folder / "texts" / "a.jsonl").write_text(json.dumps({"body": 9 * sentence}) + "\n", "utf-8")
    (folder / "letter.txt").write_text(9 * sentence, "utf-8")
    (folder / "candidates.jsonl").write_text(json.dumps(CANDIDATE) + "\n", encoding="utf-8")


def typed(page: Path) -> tuple[list[str], set[str]]:
    """The lines of a page that are typed, in order, and which reasons kept others from it."""
    found: list[str] = []
    reasons: set[str] = set()
    for block in shown.blocks(page):
        lines = shown.lines(block) if block.kind in ("sh", "console") else []
        script = next(iter(block.text.splitlines())) if block.text.startswith("#!") else ""
        whys = [
            next((why for why in NOT_TYPED if re.match(why, script or line)), "") for line in lines
        ]
        found += [line for line, why in zip(lines, whys, strict=True) if not why]
        reasons |= {why for why in whys if why}
    return found, reasons


PAGES = [page for page in shown.pages() if typed(page)[0]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_is_typed_and_ends_well(checkout: Checkout, page: Path) -> None:
    for line in typed(page)[0]:
        root = checkout.folder / "phloem-data"
        (run, *_) = sorted((root / "runs").iterdir(), reverse=True)
        (release, *_) = sorted((root / "releases").glob("quickstart-*"))
        if "sources lint" in line:
            assert checkout.type(f"python -c '{LOCK}'") == (0, "")
        named = re.sub(r"\bRELEASE\b", release.name, re.sub(r"\bRUN\b", run.stem, line))
        code, said = checkout.type(named)
        ends = {0}
        if "sources review" in line:  # what decides changed, and no index is in reach
            ends = {3, 1} if "sample failed: 1 of 1 sources" in said else {3}
        assert code in ends, f"{line}\n{said}"
        if re.search(r"run declarations", line):
            assert re.search(r"^release  \S*/releases/declarations-", said, re.MULTILINE)


def test_reasons_for_typing_nothing_all_hold_of_something() -> None:
    used = {reason for page in shown.pages() for reason in typed(page)[1]}
    assert set(NOT_TYPED) - used == set()


# The story that README shows ----------------------------------------------------------------------
def shape(line: str) -> str:
    """A line of a story without its numbers, its ids and what else differs from run to run."""
    line = re.sub(r"\b\d{8}T\d{6}Z-\w+|\b[0-9a-f]{8,}\b", "ID", line)
    return " ".join(re.sub(r"\d[\d,.]*", "0", line).split())


def test_readme_s_story_is_of_the_shape_that_is_told(checkout: Checkout) -> None:
    (block,) = (b for b in shown.blocks(ROOT / "README.md") if b.kind == "console")
    (line,) = shown.lines(block)
    assert checkout.type("phloem run quickstart")[0] == 0  # what a page typed before is no story
    told = " ".join(shape(each) for each in checkout.type(line)[1].splitlines())
    for given in " ".join(map(shape, block.text.splitlines()[1:])).split("[…]"):
        assert given.strip() in told
        told = told.partition(given.strip())[2]


def test_readme_s_python_does_what_it_says(checkout: Checkout) -> None:
    (block,) = (b for b in shown.blocks(ROOT / "README.md") if b.kind == "python")
    (checkout.folder / "ten_lines.py").write_text(block.text, encoding="utf-8")
    code, said = checkout.type("python ten_lines.py")
    assert code == 0, said
    kept, rows, reasons, tokens = said.splitlines()[:4]
    (page,) = re.fullmatch(r"117 documents kept, told in (reports/\S+/index\.html)", kept).groups()
    assert (checkout.folder / "phloem-data" / page).is_file()
    assert rows == "117 documents read"
    assert reasons == "[{'reason': None, 'count_star()': 117}]"
    assert tokens.startswith("[")
