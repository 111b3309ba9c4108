"""What the project's pages show: blocks of code, and commands in these and in the prose."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import typer

from phloem.pipeline.cli.app import app
from phloem.pipeline.docs import pages as docs

ROOT = Path(__file__).resolve().parents[2]

FENCED = re.compile(r"^```(?P<kind>\S*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`]+)`")
TYPED = re.compile(r"(?:\.venv/bin/)?(?:phloem|pip|pytest|pre-commit|python3?)(?= )|make\b|phloem$")
GENERATED = re.compile(r"<!-- generated:(?!cli|explain).*?<!-- end generated -->", re.DOTALL)
PLACE = re.compile(r"here\s+`([^`]+)`")  # where a page says that the block after it is to be put
PLACEHOLDER = re.compile(r"[A-Z]+(?:[/:.]+[A-Z]+)*|.*[…<$*].*")
KEYWORDS = frozenset("do done esac".split())
LOOPS = ("for", "case")  # what follows is no command


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: Its name under the root.
        kind: What the fence calls it, such as sh.
        text: What stands in it.
        place: Where the page says that it is to be put; empty if it does not.
    """

    page: str
    kind: str
    text: str
    place: str


def pages() -> list[Path]:
    """All Markdown pages of the project."""
    return [*docs.pages(ROOT), *sorted((ROOT / ".github").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text, end, place, found = page.read_text(encoding="utf-8"), 0, "", []
    for match in FENCED.finditer(text):
        place = next(reversed(PLACE.findall(text[end : match.start()])), place)
        name, is_file = str(page.relative_to(ROOT)), match["kind"] not in ("sh", "console", "text")
        found.append(Block(name, match["kind"], match["text"], place if is_file else ""))
        place, end = "" if is_file else place, match.end()
    return found


def mentioned(page: Path) -> list[str]:
    """The commands in the prose of a page, each in backquotes, a line break in them as a blank."""
    prose = FENCED.sub("", page.read_text(encoding="utf-8"))
    spans = (" ".join(span.split()) for span in SPAN.findall(prose))
    return [span for span in spans if TYPED.match(span)]


def lines(block: Block) -> list[str]:
    """The commands of a block, one a line: what a backslash or a quote parts is joined."""
    text = block.text
    if block.kind == "console":
        text = "".join(re.findall(r"^\$ (.*\n)", text, re.MULTILINE))
    whole, found = "", []
    for line in text.replace("\\\n", " ").splitlines():
        whole += line
        try:
            words = split(whole)
        except ValueError:  # a quote is open
            whole += "\n"
            continue
        found += [whole.strip()] if words else []
        whole = ""
    assert not whole, f"{block.page}: a quote has no end in {whole!r}"
    return found


def split(line: str) -> list[str]:
    """Words and operators of a line of shell, without comments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    return list(lexer)


def simple(line: str) -> Iterator[list[str]]:
    """The simple commands of a line, without what is assigned before them."""
    words: list[str] = []
    in_case = False
    inner = re.sub(r"\b\w+=\$\(", "; ", line)  # what a variable is set to the output of
    inner = re.sub(r"(?:\w+\|)+(\w+\))", r"\1", inner)  # of a case's patterns one will do
    for word in [*split(inner), ";"]:
        in_case = word == "case" or (in_case and word != "esac")
        if in_case and word == "|" and len(words) == 1:
            words = []  # one of several patterns
        elif set(word) <= set(";&|") or word in KEYWORDS:
            while words and re.match(r"\w+=", words[0]):
                words.pop(0)
            if words and words[0] not in LOOPS:
                yield words
            words = []
        elif in_case and word.endswith(")"):
            words = []  # its pattern
        else:
            words.append(word if "(" in word else word.rstrip(")") or word)


# Whether a command is one that there is -----------------------------------------------------------
def fault(words: list[str], *, whole: bool) -> str:
    """What is wrong with a command, in words; empty if nothing is.

    Args:
        words: Its own.
        whole: Whether it is to be typed as it stands. Prose may name a command without what it
            needs, and its flags without their values.
    """
    program = words[0].removeprefix(".venv/bin/")
    known = {
        "phloem": _phloem,
        "make": _make,
        "pip": _pip,
        "python": _python,
        "python3": _python,
        "pytest": _files,
        "mvn": _files,
    }
    if program in known:
        return known[program](words[1:], whole=whole)
    return "" if program in FOREIGN else f"no test knows the program {program!r}"


FOREIGN = (
    "export",
    "git",
    "pre-commit",
    "sbatch",
    "spark/bin/pip",
    "spark/bin/python",
    "$SPARK_HOME/bin/spark-class",
)
"""Programs of others, whose words no test of this project can judge."""


def _phloem(words: list[str], *, whole: bool) -> str:
    node, rest = typer.main.get_command(app), list(words)
    if rest and PLACEHOLDER.fullmatch(rest[0]):
        return ""  # phloem COMMAND --help
    while hasattr(node, "commands"):
        if not rest or rest[0] in ("-h", "--help"):
            return "" if rest or not whole else "a group is no command"
        name = rest.pop(0)
        if name not in node.commands:
            return f"no command {name!r} in {' '.join(words)!r}"
        node = node.commands[name]
    if rest in (["-h"], ["--help"]):
        return ""
    return _unparsed(node, rest) if whole else _unknown_flags(node, rest)


def _unknown_flags(command: Any, words: list[str]) -> str:
    taken = {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}
    unknown = [word for word in words if re.match(r"--?[a-z]", word) and word not in taken]
    return f"{command.name} takes no {', '.join(unknown)}" if unknown else ""


def _unparsed(command: Any, words: list[str]) -> str:
    """What the command's own parser says; files need not be there, nor numbers of a placeholder."""
    context = command.context_class(command, info_name=command.name)
    try:
        given, rest, _ = command.make_parser(context).parse_args(args=list(words))
    except Exception as error:  # noqa: BLE001 - the errors of typer's own click, which it hides
        return f"{command.name}: {error}"
    lacks = [each.name for each in command.params if each.required and not given.get(each.name)]
    if rest or lacks:
        return f"{command.name}: too many {rest}" if rest else f"{command.name} lacks {lacks}"
    return ""


def _make(words: list[str], *, whole: bool) -> str:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words:
        name, equals, _ = word.partition("=")
        there = f"$({name})" in text if equals else re.search(rf"^{name}:", text, re.MULTILINE)
        if not (there or PLACEHOLDER.fullmatch(word) or word == "..."):
            return f"the Makefile has no {word}"
    return ""


def _pip(words: list[str], *, whole: bool) -> str:
    if words[:1] != ["install"]:
        return "" if not whole else f"pip {words[0]}: only installing is shown"
    files = [word for word, before in zip(words[1:], words, strict=False) if before == "-r"]
    named = [word for word in words[1:] if not word.startswith("-") and word not in (*files, ".")]
    wheel = f"dist/phloem-{metadata.version('phloem')}-py3-none-any.whl"
    ours = [word for word in named if "phloem" in word and not word.startswith(wheel)]
    lost = [word for word in files if not (ROOT / word).is_file()]
    if ours or lost:
        return f"no index holds {ours}" if ours else f"there is no {lost}"
    extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    missing = [
        extra
        for word in named
        for extra in re.findall(r"\.whl\[(\w+)\]", word)
        if f"\n{extra} = [" not in extras
    ]
    return f"there is no extra {missing}" if missing else ""


def _python(words: list[str], *, whole: bool) -> str:
    if words[:1] == ["-m"]:
        name = words[1].replace("phloem.", "").replace(".", "/")
        ours = words[1].startswith("phloem.")
        there = not ours or any((ROOT / each).exists() for each in (f"{name}.py", name))
        return "" if there else f"there is no module {words[1]}"
    return _files(words[:1], whole=whole)


def _files(words: list[str], *, whole: bool) -> str:
    files = [word for word in words if re.match(r"[a-z]+/", word)]
    lost = [word for word in files if not (ROOT / word).exists()]
    return f"there is no {lost}" if lost else ""
