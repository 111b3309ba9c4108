"""Nothing that a person can use goes without a line that says what it is for."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pytest
import typer
import yaml

from phloem.filters.op import Op, ops
from phloem.pipeline.cli.app import app
from phloem.pipeline.docs import commands as docs_cli
from phloem.pipeline.docs import pages as docs
from phloem.pipeline.docs import rooms as docs_rooms
from phloem.pipeline.docs import tables as docs_tables
from phloem.pipeline.recipe import Recipe, check_recipe
from phloem.pipeline.workspace import Workspace
from phloem.sources.cards import lint
from phloem.sources.cards.dossier import CardFile, Dossier
from phloem.sources.cards.source import Source
from phloem.sources.connector import Pin, PinnedFile, connectors, find_connector

ROOT = Path(__file__).resolve().parents[1]
TABLES = {**docs_tables.TABLES, **docs_rooms.TABLES}
LINK = re.compile(r"\[[^]]+\]\(([^)#]*)(#[^)]*)?\)")


# The project's own pages --------------------------------------------------------------------------
def test_pages_every_generated_block_is_current():
    found = docs.stale(ROOT, docs.blocks())
    assert [str(page.relative_to(ROOT)) for page in found] == [], "run: make docs"


def test_pages_every_table_stands_on_some_page():
    text = "\n".join(page.read_text(encoding="utf-8") for page in docs.pages(ROOT))
    shown = set(docs.OPENING.findall(text))
    assert set(docs.blocks()) - shown == set()


def test_pages_links_lead_to_files():
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in docs.pages(ROOT)
        for target, _ in LINK.findall(page.read_text(encoding="utf-8"))
        if target and "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


@pytest.mark.parametrize(("name", "command"), list(docs_cli.commands(app)))
def test_command_has_a_sentence_and_every_parameter_help(name, command):
    assert docs_tables.first_sentence(command.callback).endswith("."), name
    assert [spelling for spelling, text in docs_cli.parameters(command) if not text.strip()] == []


@pytest.mark.parametrize(("name", "command"), list(docs_cli.commands(app)))
def test_command_reference_shows_the_flags_that_its_parser_takes_and_no_other(name, command):
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    section = page.split(f"### `{name}`\n")[1].split("\n### ")[0]
    cells = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    shown = [flag for cell in cells for flag in re.findall(r"(?<![\w-])--?\w[\w-]*", cell)]
    options = [each for each in command.params if each.param_type_name == "option"]
    taken = [flag for each in options for flag in (*each.opts, *each.secondary_opts)]
    assert sorted(shown) == sorted(taken)
    assert len(cells) == len(command.params)


@pytest.mark.parametrize("op", list(ops().values()), ids=list(ops()))
def test_op_has_a_sentence_an_example_and_columns_that_say_what_they_are(op):
    assert docs_tables.first_sentence(op.function).endswith(".")
    assert op.examples
    assert [column.name for column in (*op.reads, *op.writes) if not column.doc.endswith(".")] == []


@pytest.mark.parametrize("column", docs_tables.shared_columns(), ids=lambda column: column.name)
def test_column_says_what_one_value_means(column):
    assert column.doc.endswith(".")


@pytest.mark.parametrize("made", TABLES.values(), ids=TABLES)
def test_table_has_rows_and_no_empty_cell(made):
    rows = made().splitlines()[2:]
    assert rows
    loose = {"parameters", "reads", "in"}  # an op may take no parameter
    head = [cell.strip() for cell in made().splitlines()[0].split("|")[1:-1]]
    for row in rows:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        empty = [h for h, cell in zip(head, cells, strict=True) if not cell and h not in loose]
        assert empty == [], row


# CONTRIBUTING's examples are real -----------------------------------------------------------------
def _examples(language: str) -> list[str]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_contributing_op_gives_what_its_examples_say(tmp_path, monkeypatch):
    (code,) = _examples("python")
    (tmp_path / "example_ops.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        module = importlib.import_module("example_ops")
        (op,) = [value for value in vars(module).values() if isinstance(value, Op)]
    finally:
        sys.modules.pop("example_ops", None)
    given, expected = zip(*op.examples, strict=True)
    batch = pa.record_batch({"text": pa.array(given, pa.string())})
    assert op(batch).arrays[0].to_pylist() == list(expected)


def test_contributing_workspace_names_known_keys():
    (text,) = _examples("toml")
    assert set(tomllib.loads(text)) == {"ops", "sources", "recipes", "policies", "rule_sets"}


WHEEL = "tomlkit-0.15.2-py3-none-any.whl"


def test_contributing_card_breaks_no_rule():
    card = yaml.load(_examples("yaml")[0], Loader=yaml.CSafeLoader)
    file = CardFile(Path(f"{card['id']}.yaml"), card, Source.model_validate(card), ())
    registry = Dossier(
        files=[file],
        ops=list(ops()),
        connectors={name: find_connector(name) for name in connectors()},
        pins={card["id"]: Pin("0.15.2", (PinnedFile(WHEEL, "0" * 64, 1),))},
        approvals={},
        license_refs=[],
        today=card["license"]["checked_on"],
    )
    assert lint.findings(registry) == []


def test_contributing_recipe_has_no_fault():
    given = yaml.load(_examples("yaml")[1], Loader=yaml.CSafeLoader)
    recipe = Recipe.model_validate(given)
    assert check_recipe(recipe, Workspace(), recipe.sources) == []


# The machinery -----------------------------------------------------------------------------------
PAGE = "# Page\n\n<!-- generated:fruit -->\nold\n<!-- end generated -->\n\nend\n"


def test_fill_block_is_written_anew_and_the_rest_stays():
    new = docs.fill(PAGE, {"fruit": lambda: "| figs |"})
    assert new == PAGE.replace("\nold\n", "\n\n| figs |\n\n")


def test_fill_twice_changes_nothing():
    once = docs.fill(PAGE, {"fruit": lambda: "| figs |"})
    assert docs.fill(once, {"fruit": lambda: "| figs |"}) == once


def test_fill_two_blocks_each_keeps_its_own():
    made = {"fruit": lambda: "figs", "nuts": lambda: "almonds"}
    new = docs.fill(PAGE + PAGE.replace("fruit", "nuts"), made)
    assert new.index("figs") < new.index("almonds")
    assert new.count("# Page") == 2


def test_fill_unknown_block_names_the_nearest():
    with pytest.raises(docs.DocsError, match="nothing makes the block fruit; did you mean fruits"):
        docs.fill(PAGE, {"fruits": lambda: ""})


def test_fill_block_without_end_is_an_error():
    with pytest.raises(docs.DocsError, match="fruit has no <!-- end generated -->"):
        docs.fill("<!-- generated:fruit -->\nold\n", {"fruit": lambda: ""})


def test_fill_hand_filled_block_is_left_alone():
    text = "<!-- generated:explain -->\nby hand\n<!-- end generated -->\n"
    assert docs.fill(text, {}) == text


def test_stale_names_the_page_of_an_error(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text(PAGE, encoding="utf-8")
    with pytest.raises(docs.DocsError, match=r"docs/a\.md: nothing makes"):
        docs.stale(tmp_path, {})


def test_stale_current_page_is_not_listed(tmp_path):
    made = {"fruit": lambda: "figs"}
    (tmp_path / "a.md").write_text(docs.fill(PAGE, made), encoding="utf-8")
    (tmp_path / "b.md").write_text(PAGE, encoding="utf-8")
    assert [page.name for page in docs.stale(tmp_path, made)] == ["b.md"]


def test_main_check_writes_nothing_and_exits_1(tmp_path, capsys):
    (tmp_path / "pyproject.toml").touch()
    page = tmp_path / "a.md"
    page.write_text(PAGE.replace("fruit", "ledger"), encoding="utf-8")
    assert docs.main(["--check", "--root", str(tmp_path)]) == 1
    assert "a.md is not what the code says" in capsys.readouterr().err
    assert "old" in page.read_text(encoding="utf-8")
    assert docs.main(["--root", str(tmp_path)]) == 0
    assert "`verdict`" in page.read_text(encoding="utf-8")
    assert docs.main(["--check", "--root", str(tmp_path)]) == 0


def test_table_bar_and_line_break_in_a_cell_are_harmless():
    assert docs_tables.table(["a"], [["x | y\nz"]]) == "| a |\n| --- |\n| x \\| y z |"


def test_reference_stub_app_names_arguments_options_defaults_and_examples():
    stub = typer.Typer(name="tool")
    group = typer.Typer()
    stub.add_typer(group, name="figs")

    @stub.callback()
    def _whole() -> None:
        """Keep groups."""

    @group.command("pick")
    def _pick(
        tree: Annotated[str, typer.Argument(help="Which tree.")],
        many: Annotated[int, typer.Option("--many", help="How many.", envvar="MANY")] = 3,
        ripe: Annotated[bool, typer.Option("--ripe/--green", "-r/-g", help="Ripe ones.")] = False,
        input_: Annotated[str, typer.Option("--input", metavar="K/N", help="A basket.")] = "",
        plain: Annotated[list[Path] | None, typer.Option(help="No name given.")] = None,
        leaf: Annotated[str, typer.Argument(metavar="[LEAF]", help="A leaf.")] = "",
    ) -> None:
        """Pick figs.

        [bold]tool figs pick smyrna[/bold]
        """

    text = docs_cli.reference(stub)
    assert "### `tool figs pick`" in text
    assert "tool figs pick TREE [LEAF] [OPTIONS]" in text
    assert "| `--many NUMBER` | How many. Default: `3`. Environment: `MANY`. |" in text
    assert "| `--ripe, -r, --green, -g` | Ripe ones. |" in text
    assert "| `--input K/N` | A basket. |" in text
    assert "| `--plain PATH (again for more)` | No name given. |" in text
    assert "```sh\ntool figs pick smyrna\n```" in text
    assert "[bold]" not in text
