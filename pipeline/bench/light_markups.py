"""Light markups: reStructuredText, AsciiDoc, Markdown, and what is Markdown with commands."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Callable, Sequence

import yaml

from phloem.pipeline.bench.truth import Truth, joined, without


def rst(source: str) -> Truth | None:
    """reStructuredText: code is what a directive for code or `::` introduces."""
    if re.search(r"(?m)^\s*\.\. (?:toctree|auto\w+|(?:literal)?include)::", source):
        return None
    directive = re.compile(r"\s*\.\. (?:code-block|sourcecode|highlight|code)::(?=\s)")
    code, lines = _indented(
        source.split("\n"),
        lambda line: (
            bool(directive.match(f"{line}\n"))
            or (line.rstrip().endswith("::") and not line.lstrip().startswith(".."))
        ),
        option=r"\s*:[\w-]+:",
    )
    held = list(code)  # of which nothing is markup

    def hold(found: re.Match[str]) -> str:
        held.append(found[1])
        return f"\0{len(held) - 1}\0"

    text = without(
        re.sub(_RST_UNSAID, "", re.sub(r"(?s)``(.+?)``", hold, "\n".join(lines))),
        (r"\$(?:Date|Revision): (\S+).*?\$", r"\1"),
        (r":[\w:+-]+:`[!~]?([^`<]*?)\s*(?:<[^`]*>)?`", r"\1"),
        (r"`([^`<]*?)\s*<[^`]*>`_+", r"\1"),
        (r"`([^`]*)`__?(?!\w)", r"\1"),
        (r"(?<!\w)(?!_)(\w*[^\W_])__?(?![\w`])", r"\1"),
        (r"(?m)^(\s*)\.\. (?=[Nn]ote::|[Tt]ip::|[Ww]arning::|[Ii]mportant::)(\w+)::", r"\1\2 "),
        (r"(?m)^(\s*)\.\. seealso::", r"\1See also "),
        (r"(?m)^(\s*)\.\. versionadded::", r"\1New in version"),
        (r"(?m)^(\s*)\.\. versionchanged::", r"\1Changed in version"),
        (r"(?m)^\s*\.\. \S+::\s*|^\s+:\w+:\s*|::$", ""),
        (r"(?m)^\s*\.\. _.*$|^\s*__ .*$", ""),
    )
    text = re.sub(r"\0(\d+)\0", lambda found: held[int(found[1])], text)
    return Truth(tuple(block for block in code if "doctest:" not in block), text)


_RST_UNSAID = re.compile(
    r"(?m)^([ \t]*)\.\.(?: (?:index|module|sectionauthor|moduleauthor|toctree|highlight"
    r"|currentmodule|contents|image|figure|raw|_[^:\n]*)::?[^\n]*|(?: (?!\S+::|_|\[|\|)[^\n]*)?)\n"
    r"(?:\1[ \t]+\S[^\n]*\n|[ \t]*\n(?=\1[ \t]+\S))*"
)


def asciidoc(source: str) -> Truth | None:
    """AsciiDoc: code is what stands between lines of dashes."""
    if re.search(r"(?m)^include::", source):
        return None
    listing = r"(?ms)(?:(?<=\n\n)|(?<=\]\n)|(?<=\n\+\n))(-{4,})\n(.*?)\n\1$"
    source = re.sub(r"(?ms)^/{4,}$.*?^/{4,}$\n?|^//.*?$\n?", "", source)
    code = [found[2].strip("\n").expandtabs(8) for found in re.finditer(listing, source)]
    return Truth(
        tuple(block for block in code if "<<" not in block and not re.search(r"(?m)<\d+>$", block)),
        without(
            source,
            (r"(?m)^(-{4,}|={4,}|\.{4,}|_{4,}|\*{4,}|\|===.*)$", ""),
            (r"linkgit:([\w.-]+)\[(\d)\]", r"\1(\2)"),
            (r"<<[^,>]*,([^>]*)>>", r"\1"),
            (r"\b(?:kbd|btn):\[([^\]]*)\]", r"\1"),
            (r"(?m)^\[.*\]$|^:[\w!-]+:.*$|^(?:include|image|ifdef|endif|ifndef)::.*$", ""),
            (r"(?:link:|(?=https?:))\S*?\[([^\]^,]*)[^\]]*\]", r"\1"),
            (r"(?<!\w)_+|_+(?!\w)", ""),
        ),
    )


def markdown(source: str) -> Truth | None:
    """Markdown: code is what stands fenced; where nothing is, what stands indented, off lists."""
    if "{{#" in source:
        return None
    source = re.sub(r"(?s)\A---\n.*?\n---\n|<!--.*?-->|\A(?:[A-Za-z]+:[^\n]*\n)+", "", source)
    code: list[str] = []
    held: list[str] = []  # code, of which nothing is markup

    def hold(said: str) -> str:
        held.append(said)
        return f"\0{len(held) - 1}\0"

    def fenced(found: re.Match[str]) -> str:
        block = re.sub(rf"(?m)^ {{0,{len(found[1])}}}", "", found[4])
        if "rust" in found[3]:
            block = re.sub(r"(?m)^ *#(?: .*)?\n", "", block)  # lines that rustdoc and mdBook hide
        code.append(block.strip("\n"))
        return f"\n\n{hold(block)}\n\n"

    def indented(found: re.Match[str]) -> str:
        code.append(textwrap.dedent(found[2]).rstrip())
        return f"{found[1]}\n{hold(found[2])}"

    rest = re.sub(
        r"(?ms)^( *)(`{3,}|~{3,})([^\n`]*)\n(.*?)^ *\2[`~]*[ \t]*$", fenced, source.expandtabs(4)
    )
    if not code:
        listing = r"(?m)(^(?![ ]*(?:[-*+]|\d+\.) )\S.*\n)\n((?: {4}.*\n|\s*\n(?= {4}))+)"
        rest = re.sub(listing, indented, rest)
    rest = re.sub(r"(?s)(?<!`)(`+)(?!`)((?:(?!\n\n).)+?)(?<!`)\1(?!`)", lambda f: hold(f[2]), rest)
    text = html.unescape(
        without(
            rest,
            (r"!\[([^\]]*)\]\([^)]*\)", r""),
            (r"\[([^\]]*)\]\([^)]*\)", r"\1"),
            (r"\[([^\]]+)\]\[[^\]]*\]", r"\1"),
            (r"(?m)^ *\[[^\]]+\]:.*$", ""),
            (r"</?[a-zA-Z][^>\n]*>|\{[#.:][^}\n]*\}|<(?=https?:)", ""),
            (r"\\(?=[^\w\s])|(?<!\w)_+|_+(?!\w)", ""),
        )
    )
    return Truth(tuple(code), re.sub(r"\0(\d+)\0", lambda found: held[int(found[1])], text))


def headed(source: str) -> Truth | None:
    """Markdown of which a page shows the title and the description that stand before its text."""
    head = re.match(r"(?s)---\n(.*?)\n---\n", source)
    said = re.findall(r"(?m)^(?:title|description): *\"?(.*?)\"?$", head[1]) if head else []
    return joined([Truth((), "\n\n".join(said)), markdown(source)])


def node(source: str) -> Truth | None:
    """Node.js's Markdown, in whose comments stands when each function came and changed."""
    return markdown(re.sub(r"(?s)<!-- YAML\n(.*?)-->", _history, source))


def _history(found: re.Match[str]) -> str:
    said = yaml.safe_load(found[1]) or {}
    changes = said.get("changes") or []
    came = [
        f"{words}: {_listed(said[key])}"
        for key, words in (
            ("added", "Added in"),
            ("napiVersion", "N-API version"),
            ("deprecated", "Deprecated since"),
            ("removed", "Removed in"),
        )
        if key in said
    ]
    rows = [f"{_listed(each['version'])} {each['description']}" for each in changes]
    if not rows:
        return "\n\n".join(came)
    versions = [_listed(said[key]) for key in ("added", "deprecated", "removed") if key in said]
    return "\n\n".join(["History", "Version Changes", *rows, *versions, *came])


def _listed(versions: str | list[str]) -> str:
    return ", ".join(versions) if isinstance(versions, list) else str(versions)


def gi_docgen(source: str) -> Truth | None:
    """gi-docgen's Markdown, whose links name what they lead to as the language does."""

    def name(found: re.Match[str]) -> str:
        kind, place = found[1], found[2].split(".")
        if kind not in ("func", "method", "ctor", "vfunc"):
            return "".join(place)
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", ".".join(place)).replace(".", "_")
        return f"{words.lower()}()"

    return markdown(re.sub(r"\[(\w+)@([\w.]+)(?::[\w-]+)*\]", name, source))


def doxygen(source: str) -> Truth | None:
    """Doxygen's pages: Markdown with commands, among them one for code."""
    for pattern, left in (
        (r"(?s)[@\\]code(?:\{\.?(\w+)\})?\n(.*?)[@\\]endcode", r"```\1\n\2```"),
        (r"[@\\]ref \S+ \"([^\"]*)\"", r"\1"),
        (r"[@\\](?:(?:page|(?:sub)*section|anchor) \S+|tableofcontents|(?!code)[a-z]+\b)", ""),
        (r"/\*!|\*/", ""),
    ):
        source = re.sub(pattern, left, source)
    return markdown(source)


def _indented(
    lines: Sequence[str], introduces: Callable[[str], bool], option: str
) -> tuple[list[str], list[str]]:
    """The blocks indented below lines that introduce them, and the lines, each block a mark."""
    code: list[str] = []
    rest: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if not introduces(line):
            rest.append(line)
            continue
        if not line.lstrip().startswith(".."):
            rest.append(line)
        depth, block = len(line) - len(line.lstrip()), []
        while at < len(lines) and (
            not lines[at].strip() or len(lines[at]) - len(lines[at].lstrip()) > depth
        ):
            block.append(lines[at])
            at += 1
        while block and (not block[0].strip() or re.match(option, block[0])):
            block.pop(0)
        said = textwrap.dedent("\n".join(block)).rstrip()
        if said:
            rest += ["", f"\0{len(code)}\0", ""]
            code.append(said)
    return code, rest
