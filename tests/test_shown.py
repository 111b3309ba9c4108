"""What the pages show can be typed: each command is one that there is, each example is sound."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import shown
import yaml
from shown import ROOT, Block

from phloem.pipeline.docs import pages as docs
from phloem.pipeline.logs import JsonLines
from phloem.pipeline.recipe import Recipe
from phloem.pipeline.rule_set import expanded
from phloem.pipeline.stages import BY_NAME
from phloem.pipeline.thresholds.veto import load_reviews
from phloem.pipeline.workspace import Workspace, load_workspace
from phloem.sources.cards.source import Source
from phloem.sources.limits import Limits

PAGES = shown.pages()
SHELL = ("sh", "console")


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_blocks_are_of_a_kind_that_a_test_knows(page: Path) -> None:
    kinds = {block.kind for block in shown.blocks(page)}
    assert kinds <= {*SHELL, "text", *EXAMPLES}
    assert page.read_text(encoding="utf-8").count("\n```") == 2 * len(shown.blocks(page))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_in_blocks_can_be_typed_as_they_stand(page: Path) -> None:
    faults = []
    for block in shown.blocks(page):
        if block.kind in SHELL:
            found = [words for line in shown.lines(block) for words in shown.simple(line)]
            inner = [shlex.split(word) for words in found for word in words if "phloem " in word]
            found += [words for words in inner if words[0] == "phloem"]
            faults += [shown.fault(words, whole=True) for words in found]
            script = "\n".join(shown.lines(block)).encode()
            done = subprocess.run(["bash", "-n"], check=False, input=script, capture_output=True)
            faults.append(done.stderr.decode())
    assert [fault for fault in faults if fault] == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_text_blocks_that_begin_with_a_command_say_how_it_is_used(page: Path) -> None:
    synopses = [b.text for b in shown.blocks(page) if b.kind == "text" and "phloem" in b.text[:7]]
    for text in synopses:
        words = shlex.split(re.sub(r"\[OPTIONS\]|[\[\]]|\.\.\.|\|\w+", "", text))
        assert shown.fault(words, whole=True) == ""


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_in_prose_are_ones_that_there_are(page: Path) -> None:
    faults = [
        shown.fault(words, whole=False)
        for span in shown.mentioned(page)
        for words in shown.simple(span)
    ]
    assert [fault for fault in faults if fault] == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_paths_in_prose_lead_to_files(page: Path) -> None:
    tops = "|".join(docs.FOLDERS)
    path = re.compile(rf"(?:{tops})/[\w./*-]*")
    prose = shown.FENCED.sub("", page.read_text(encoding="utf-8"))
    prose = shown.GENERATED.sub("", shown.PLACE.sub("", prose))
    spans = [span for span in shown.SPAN.findall(prose) if path.fullmatch(span)]
    lost = [span for span in spans if not list(ROOT.glob(span.rstrip("/")))]
    kept = {"reports/", "phloem-data/"}  # a root's, not the checkout's
    assert [span for span in lost if span not in kept] == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_files_of_code_in_prose_lie_beside_the_page_or_below_the_top(page: Path) -> None:
    prose = shown.FENCED.sub("", page.read_text(encoding="utf-8"))
    code = re.compile(r"[\w/*-]+\.(?:css|html|js|py|xml)")
    spans = [
        span for span in shown.SPAN.findall(shown.PLACE.sub("", prose)) if code.fullmatch(span)
    ]
    lost = [span for span in spans if not [*page.parent.glob(span), *ROOT.glob(span)]]
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_to_a_heading_lead_to_one(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        text = (page.parent / target if target else page).read_text(encoding="utf-8")
        heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        slugs = [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads]
        assert anchor in slugs, f"{target}#{anchor}"


def test_slurm_s_loop_goes_through_all_stages() -> None:
    (block,) = (b for b in shown.blocks(ROOT / "docs" / "slurm.md") if "for stage in" in b.text)
    (stages,) = re.findall(r"for stage in (.*); do", block.text)
    assert tuple(stages.split()) == tuple(BY_NAME)


# Examples of files --------------------------------------------------------------------------------
def yaml_is_sound(block: Block, folder: Path) -> None:
    """By the project's own models: a whole card or recipe, or a part of one."""
    made = yaml.load(block.text, Loader=yaml.CSafeLoader)
    if "access" in made:
        assert Source.model_validate(made).id == Path(block.place).stem
    elif "ops" in made and "name" not in made:  # a part of a recipe
        (recipe,) = [b for b in shown.blocks(ROOT / "CONTRIBUTING.md") if "tokenizer:" in b.text]
        whole = yaml.load(recipe.text, Loader=yaml.CSafeLoader) | made
        found = Recipe.model_validate(whole)
        assert found.bound_ops(Workspace())
        assert expanded(found.use, found.without, found.keep, Workspace()).faults == ()
    elif "ops" in made:
        assert Recipe.model_validate(made).name == Path(block.place).stem
    elif "limits" in made:
        assert set(Limits.model_validate(made["limits"]).model_dump()) >= set(made["limits"])
    else:
        assert set(made) == {"clean", "keep"}, "what is it a part of?"
        (card,) = [b for b in shown.blocks(ROOT / "CONTRIBUTING.md") if "access:" in b.text]
        whole = yaml.load(card.text, Loader=yaml.CSafeLoader) | made
        assert Source.model_validate(whole).clean


def python_is_sound(block: Block, folder: Path) -> None:
    # tests/catalog/test_torch.py runs the one, tests/test_walked.py the other.
    if "import torch" in block.text or "phloem.run(" in block.text:
        compile(block.text, block.page, "exec")
        return
    exec(compile(block.text, block.page, "exec"), {"__name__": "example"})  # noqa: S102 - ours


def toml_is_sound(block: Block, folder: Path) -> None:
    """As a workspace, with an empty part for each that it names."""
    (folder / "phloem.toml").write_text(block.text, encoding="utf-8")
    (folder / "our_ops.py").touch()
    for part in ("cards", "recipes", "policies", "rule_sets"):
        (folder / part).mkdir()
    found = load_workspace(folder)
    assert all((found.ops, found.sources, found.recipes, found.policies, found.rule_sets))


def json_is_sound(block: Block, folder: Path) -> None:
    """As lines of the log, which is all the JSON that commands print and a page shows."""
    for line in block.text.splitlines():
        assert {"time", "level", "logger", "message"} <= set(json.loads(line))
    assert JsonLines


def jsonl_is_sound(block: Block, folder: Path) -> None:
    """As reviews of a language's speakers, the only lines of JSON that somebody writes."""
    (folder / "sw.reviews.jsonl").write_text(block.text, encoding="utf-8")
    assert load_reviews(folder)["sw"]


EXAMPLES = {
    "yaml": yaml_is_sound,
    "jsonl": jsonl_is_sound,
    "python": python_is_sound,
    "toml": toml_is_sound,
    "json": json_is_sound,
}
FILES = [block for page in PAGES for block in shown.blocks(page) if block.kind in EXAMPLES]


@pytest.mark.parametrize("block", FILES, ids=lambda block: f"{block.page}-{block.kind}")
def test_examples_of_files_are_sound(block: Block, tmp_path: Path) -> None:
    EXAMPLES[block.kind](block, tmp_path)


# What messages advise -----------------------------------------------------------------------------
def advised(path: Path) -> set[str]:
    """The commands in backquotes, or marked bold, in the strings of a file; `X` for what varies."""
    if path.suffix != ".py":
        return set(shown.SPAN.findall(path.read_text(encoding="utf-8")))
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "command":
            words = [each.value if isinstance(each, ast.Constant) else "X" for each in node.args]
            found.add(shlex.join(["phloem", *map(str, words)]))
        text = constant(node)
        found |= {*shown.SPAN.findall(text), *re.findall(r"\[bold\](.+?)\[/bold\]", text)}
    return found


def constant(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            each.value if isinstance(each, ast.Constant) else "X" for each in node.values
        )
    return ""


SOURCES = [
    path
    for folder in docs.FOLDERS
    if folder not in ("docs", "tests")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".html", ".js")
]


def test_commands_that_messages_advise_are_ones_that_there_are() -> None:
    faults: dict[str, list[str]] = {}
    judged = 0
    for path in SOURCES:
        for span in sorted(advised(path)):
            if shown.TYPED.match(span):
                judged += 1
                whole = [shown.fault(words, whole=False) for words in shown.simple(span)]
                faults.setdefault(page_name(path), []).extend(filter(None, whole))
    assert {path: own for path, own in faults.items() if own} == {}
    assert judged > 50


def test_no_message_promises_a_package_that_no_index_holds() -> None:
    promised = re.compile(r"pip install '?phloem(?![-\w]*\S*\.whl)\b")
    texts = {path: path.read_text(encoding="utf-8") for path in (*SOURCES, *PAGES)}
    assert [page_name(path) for path, text in texts.items() if promised.search(text)] == []


# The test itself ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "line",
    [
        "phloem rum quickstart",
        "phloem run",
        "phloem run quickstart --input-",
        "phloem run quickstart --input- x",
        "phloem run quickstart extra",
        "phloem sources lnt",
        "phloem sources",
        "phloem report --run-id x",
        "make nightley",
        "make lock UPGRAD=1",
        "pip install 'phloem[s3]'",
        "pip install phloem",
        "pip install 'dist/phloem-0.1.0-py3-none-any.whl[s4]'",
        "pip install 'dist/phloem-0.0.9-py3-none-any.whl[s3]'",
        ".venv/bin/pip install -r requirements-s4.lock",
        "python -m phloem.pipeline.dox",
        ".venv/bin/pytest tests/filtres",
        "frobnicate",
    ],
)
def test_command_that_there_is_not_is_found(line: str) -> None:
    (words,) = shown.simple(line)
    assert shown.fault(words, whole=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a \\\n  b  # said\n\n# nothing\nc 'd\ne'\n", ["a    b  # said", "c 'd\ne'"]),
        ("A=1 phloem status && make x; make y\n", ["A=1 phloem status && make x; make y"]),
    ],
)
def test_lines_of_a_block_are_joined_and_comments_left_out(text: str, expected: list[str]) -> None:
    assert shown.lines(Block("a.md", "sh", text, "")) == expected


def test_simple_commands_are_those_between_operators() -> None:
    line = (
        "for x in a; do A=1 phloem 'b ; c' | make d; y=$(pip z); case x in a|b) w=1 ;; esac; done"
    )
    assert list(shown.simple(line)) == [["phloem", "b ; c"], ["make", "d"], ["pip", "z"]]
