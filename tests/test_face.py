"""`import phloem`: the names that users build on, each with an example, none imported early."""

from __future__ import annotations

import ast
import doctest
import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from inline_engine import inline
from shown import ROOT
from tiny_workspace import make_workspace, new_root

import phloem
from phloem.pipeline import run as running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the example of `phloem.run` was typed, without Beam."""
    folder = tmp_path_factory.mktemp("face")
    new_root(folder / "phloem-data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "open_pool", inline)
        patch.chdir(folder)
        typed("run")
        yield folder


def typed(name: str) -> None:
    """Type the examples of a name's docstring, each of which must give what stands there."""
    text = inspect.getdoc(getattr(phloem, name)) or ""
    example = doctest.DocTestParser().get_doctest(text, {}, f"phloem.{name}", None, None)
    assert example.examples, f"phloem.{name} shows no example"
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert said == []


@pytest.mark.parametrize("name", phloem.__all__)
def test_example_of_each_name_gives_what_it_says(folder: Path, name: str) -> None:
    assert folder == Path.cwd()
    if name == "as_torch":
        pytest.importorskip("torch", reason="needs PyTorch: `make torch` tests with it")
    typed(name)


# What is imported, and when -----------------------------------------------------------------------
def _python(code: str, folder: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_import_and_its_list_of_names_load_no_other_module() -> None:
    code = (
        "import sys\n"
        "there = set(sys.modules)\n"
        "import phloem\n"
        "names = dir(phloem)\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - there}\n"
        "print(names == sorted(phloem.__all__), sorted(loaded - sys.stdlib_module_names))\n"
        "print('phloem.catalog' in sys.modules)"
    )
    assert _python(code) == "True ['phloem']\nFalse\n"


def test_release_is_opened_without_recipes_databases_and_beam(folder: Path) -> None:
    code = (
        "import sys, phloem\n"
        "phloem.open_release('phloem-data', 'first', sequence_length=64, seed=1).sample(0)\n"
        "print([name for name in ('apache_beam', 'duckdb', 'pebble') if name in sys.modules])"
    )
    assert _python(code, folder, PYTHONPATH=str(ROOT)) == "[]\n"


def test_name_that_is_not_there_is_an_attribute_error_that_lists_those_that_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'ledgers'; it has .*, ledger, "):
        _ = phloem.ledgers  # type: ignore[attr-defined]


def test_names_for_type_checkers_are_those_that_are_loaded() -> None:
    tree = ast.parse((ROOT / "phloem" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (each for each in tree.body if ast.unparse(each).startswith("if TYPE_CHECKING:"))
    seen = {
        alias.name: f"{node.module}:{alias.name}"
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    seen["columns"] = seen["columns"].replace(":", ".")  # a module
    assert seen == phloem._HOMES
    assert list(phloem._HOMES) == phloem.__all__


# From wherever it is called -----------------------------------------------------------------------
RUN = """\
import phloem
print("this program begins")
result = phloem.run("tiny", root="root", workers=2, release="small")
print(result.release, result.account.kept)
"""


@pytest.mark.beam
@pytest.mark.parametrize("how", ["script", "stdin"])
def test_run_by_two_workers_needs_no_guard_and_begins_the_program_once(
    how: str, tmp_path: Path
) -> None:
    folder = make_workspace(tmp_path / "work")
    new_root(folder / "root")
    (folder / "program.py").write_text(RUN, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, {"script": "program.py", "stdin": "-"}[how]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=RUN,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.stdout.splitlines() == ["this program begins", "small 7"]
    assert done.returncode == 0


# What it refuses ----------------------------------------------------------------------------------
def test_run_that_its_policy_refuses_is_an_error(folder: Path) -> None:
    recipe = phloem.load_recipe("quickstart")
    rule = recipe.keep[0].model_copy(update={"name": "of_a_million_words", "min": 1e6})
    strict = recipe.model_copy(update={"sources": ("udhr",), "keep": (rule,)})
    with pytest.raises(phloem.PhloemError, match="stops the run") as told:
        phloem.run(strict, root="phloem-data")
    assert told.value.exit_code == 1


def test_run_that_reads_no_document_is_an_error(folder: Path) -> None:
    (folder / "nothing.jsonl").write_text('{"text": 1}\n', encoding="utf-8")
    with pytest.raises(phloem.PhloemError, match="none of 1 records of --input could be read"):
        phloem.run("quickstart", root="phloem-data", input=folder / "nothing.jsonl")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"recipe": "quikstart"}, "did you mean quickstart"),
        ({"root": ""}, "root is empty"),
        ({"workers": 0}, "at least one"),
        ({"date": "2026-1-31"}, "write it as 2026-01-31"),
        ({"release": "Ein Name"}, "lower-case letters"),
        ({"input": "nowhere/*.jsonl"}, "nowhere"),
    ],
)
def test_run_of_what_cannot_be_is_a_use_error(folder: Path, asked: Any, told: str) -> None:
    with pytest.raises(phloem.UseError, match=told):
        phloem.run(**{"recipe": "quickstart", "root": "phloem-data", **asked})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"sources": ("udhr", "udrh")}, "no source named 'udrh'; did you mean udhr"),
        ({"dedup": {"bands": 0}}, r"dedup\.bands: found 0, expected at least 1"),
        ({"ops": ()}, "minhash"),
    ],
)
def test_run_of_a_changed_recipe_names_its_faults(folder: Path, changed: Any, told: str) -> None:
    recipe = phloem.load_recipe("quickstart").model_copy(update=changed)
    with pytest.raises(phloem.UseError, match=f"the recipe quickstart: .*{told}"):
        phloem.run(recipe, root="phloem-data")


@pytest.mark.parametrize(
    "asking",
    [
        lambda: phloem.ledger("elsewhere"),
        lambda: phloem.query("elsewhere", "select 1"),
        lambda: phloem.explain("elsewhere", "0"),
        lambda: phloem.open_release("elsewhere", "first", sequence_length=8, seed=1),
    ],
    ids=["ledger", "query", "explain", "open_release"],
)
def test_root_that_no_run_made_is_a_use_error(folder: Path, asking: Callable[[], Any]) -> None:
    with pytest.raises(phloem.UseError, match=r"no root at elsewhere; phloem\.run makes one"):
        asking()
    assert not Path("elsewhere").exists()


def test_ledger_is_what_the_view_of_decisions_says(folder: Path) -> None:
    read = phloem.ledger(folder / "phloem-data").read_all()
    seen = phloem.query("phloem-data", "select * from decisions order by text_file, row")
    assert read.column_names == seen.column_names
    assert read.to_pylist() == seen.to_pylist()


def test_ledger_of_a_run_that_was_collected_says_so(folder: Path, tmp_path: Path) -> None:
    root = shutil.copytree(folder / "phloem-data", tmp_path / "root")
    shutil.rmtree(root / "datasets")
    with pytest.raises(phloem.UseError, match=r"has no ledger in .*; run it again"):
        phloem.ledger(root)


def test_query_that_fails_or_is_none_is_a_use_error(folder: Path) -> None:
    for sql in ("select nothing from nowhere", "drop view decisions", ""):
        with pytest.raises(phloem.UseError):
            phloem.query("phloem-data", sql)
