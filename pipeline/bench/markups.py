"""Markups: what the source of a page says, its markup taken out by a few rules.

A source that takes in others, or what a program writes, tells only a part, and gives None.

The rules are short and leave some markup, so that nothing that is read reaches a word F1 of 1; what
they tell of code is exact, or the block is left out.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Truth:
    """What a page must say: its blocks of code, and all of its text."""

    code: tuple[str, ...]
    text: str


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
    code = [block for block in code if "doctest:" not in block]  # comments for a tester
    return Truth(
        tuple(code),
        _without(
            re.sub(_RST_UNSAID, "", "\n".join(lines)),
            (r":[\w:+-]+:`[!~]?([^`<]*?)\s*(?:<[^`]*>)?`", r"\1"),
            (r"`([^`<]*?)\s*<[^`]*>`_+", r"\1"),
            (r"(?m)^\s*\.\. \S+::\s*|^\s*:\w+:\s*|::$", ""),
            (r"(?m)^\s*\.\. _.*$|^\s*__ .*$", ""),
        ),
    )


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
        _without(
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
    source = re.sub(
        r"\A---\n.*?\n---\n|<!--.*?-->|\A(?:[A-Za-z]+:.*\n)+", "", source, flags=re.DOTALL
    )
    code: list[str] = []

    def fenced(found: re.Match[str]) -> str:
        block = re.sub(rf"(?m)^ {{0,{len(found[1])}}}", "", found[4])
        if "rust" in found[3]:
            block = re.sub(r"(?m)^ *#(?: .*)?\n", "", block)  # lines that rustdoc and mdBook hide
        code.append(block.strip("\n"))
        return f"\n\n{block}\n\n"

    rest = re.sub(
        r"(?ms)^( *)(`{3,}|~{3,})([^\n`]*)\n(.*?)^ *\2[`~]*[ \t]*$", fenced, source.expandtabs(4)
    )
    if not code:
        indented = r"(?m)(?:^(?![ ]*(?:[-*+]|\d+\.) )\S.*\n)\n((?: {4}.*\n|\s*\n(?= {4}))+)"
        code += [textwrap.dedent(found[1]).rstrip() for found in re.finditer(indented, rest)]
    return Truth(
        tuple(code),
        html.unescape(
            _without(
                rest,
                (r"!\[([^\]]*)\]\([^)]*\)", r""),
                (r"\[([^\]]*)\]\([^)]*\)", r"\1"),
                (r"\[([^\]]+)\]\[[^\]]*\]", r"\1"),
                (r"(?m)^ *\[[^\]]+\]:.*$", ""),
                (r"</?[a-zA-Z][^>\n]*>|\{[#.:][^}\n]*\}|<(?=https?:)", ""),
                (r"\\(?=[^\w\s])|(?<!\w)_+|_+(?!\w)", ""),
            )
        ),
    )


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


def xml(source: str) -> Truth:
    """DocBook, and what else is tags around text: code is a listing or a screen."""
    entities = dict(re.findall(r"<!ENTITY\s+([\w.-]+)\s+[\"']([^\"'<&]*)[\"']", source))
    source = re.sub(
        r"(?s)<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>|<!--.*?-->|<\?.*?\?>"
        r"|<(indexterm|articleinfo|bookinfo)\b.*?</\1>",
        "",
        source,
    )

    def said(marked: str) -> str:
        plain = re.sub(r"(?s)<!\[CDATA\[(.*?)\]\]>", lambda found: html.escape(found[1]), marked)
        plain = re.sub(r"<[^>]*>", "", plain)
        plain = re.sub(r"&([\w.-]+);", lambda found: entities.get(found[1], found[0]), plain)
        return html.unescape(plain)

    listing = re.compile(r"(?s)<(programlisting|screen|literallayout|verb|code)\b[^>]*>(.*?)</\1>")
    blocks = [found[2] for found in listing.finditer(source) if "\n" in found[2]]
    code = [
        said(block).strip("\n").rstrip()
        for block in blocks
        if "<co " not in block and "<xi:" not in block and "<callout" not in block
    ]
    return Truth(
        tuple(block for block in code if not re.search(r"&[\w.-]+;", block)),
        said(re.sub(r"(?<=[\w.])(</(?:para|title|term|entry|member)>)", r"\1 ", source)),
    )


_TEXINFO_UNSAID = (
    "node|[cfkptv]index|end|set|clear|include|anchor|need|group|noindent|syncodeindex|printindex"
    "|contents|example|itemize|enumerate|table"
)


def texinfo(source: str) -> Truth:
    """Texinfo: code is an example without commands of its own."""
    source = re.sub(
        r"(?ms)\A.*?^@top.*?$|^@(ignore|tex|iftex|ifinfo|ifnothtml|menu|direntry|copying|titlepage"
        r"|ifplaintext|macro)\b.*?^@end \1$|^@bye.*",
        "",
        source,
    )
    source = re.sub(r"(?m)(?:^|(?<= ))@c(?:omment)? .*$", "", source)
    given = dict(re.findall(r"(?m)^@set (\S+) (.*)$", source))
    source = re.sub(r"@value\{([^}]*)\}", lambda found: given.get(found[1], ""), source)
    listing = re.compile(
        r"(?ms)^@(?:small)?(example|lisp|display|verbatim)\n(.*?)^@end (?:small)?\1$"
    )
    code = [
        re.sub(r"@([@{}])", r"\1", found[2]).strip("\n").rstrip()
        for found in listing.finditer(source)
        if not re.search(r"@[a-z]", found[2])
    ]
    text = source
    for _ in range(3):  # within each other
        text = re.sub(r"@(?:anchor|[cfkptv]index|footnotemark)\{[^{}]*\}", "", text)
        text = re.sub(
            r"@(?:uref|url|xref|ref|pxref|inforef)\{[^{},]*,+([^{},]*)[^{}]*\}", r"\1", text
        )
        text = re.sub(r"@[a-zA-Z]+\{([^{}]*)\}", r"\1", text)
    return Truth(
        tuple(code),
        _without(
            text,
            (rf"(?m)^@(?:{_TEXINFO_UNSAID}).*$", ""),
            (r"(?m)^@[a-zA-Z]+ ?", ""),
            (r"@(?=[@{}.*:!?])", ""),
        ),
    )


def man(source: str) -> Truth | None:
    """Manual pages, whose code is not told from their text."""
    if re.search(r"(?m)^\.so ", source):
        return None
    return Truth(
        (),
        _without(
            source,
            (r'(?m)^[.\'](?:\\"|ds|de|ie|el|if|nr|ad|hy|nh|ne|tr|so).*$|\\".*$', ""),
            (r"(?m)^[.'](?:TH) (\S+) .*$", r"\1"),
            (r"(?m)^[.'][A-Za-z.]{1,3}(?: |$)", ""),
            (r"\\f(?:\([A-Z]{2}|\[\w*\]|.)|\\s[-+]?\d|\\[&|^%/,c]", ""),
            (r"\\e|\\\(rs|\\\\", "\\\\"),
            (r"\\-", "-"),
            (r"\\\((?:bu|em|lq|rq|aq|dq|co)|\\[*\[]\S{0,3}", " "),
        ),
    )


def plain(source: str) -> Truth:
    """What a page shows as it is, whole: a file of code, or of preformatted text."""
    return Truth((source.expandtabs(8).strip("\n").rstrip(),), source)


def vim_help(source: str) -> Truth:
    """Vim's help, which a page shows as it is but for the marks of links and examples."""
    text = re.sub(r"(?m)(^|(?<= ))>$|^<(?= |\n)|[|*](?=[^\s|*])|(?<=[^\s|*])[|*]", " ", source)
    return Truth((), text)


def halibut(source: str) -> Truth:
    """Halibut: code is lines that begin with a backslash and c."""
    source = re.sub(
        r"(?m)^\\(?:cfg|versionid|define|IM|[KA])\b.*\n(?:\S.*\n)*|\\#.*|^\\[CHSUB]\d?\{[^}]*\}",
        "",
        source,
    )
    blocks = re.findall(r"(?m)(?:^\\[ce](?: .*)?\n)+", source)
    code = [re.sub(r"(?m)^\\c ?", "", re.sub(r"(?m)^\\e.*\n", "", block)) for block in blocks]
    text = source
    for _ in range(3):
        text = re.sub(r"\\(?:i|I|k|K|ii)*I\{[^{}]*\}|\\[kK]\{[^{}]*\}", "", text)
        text = re.sub(r"\\(?:[a-zA-Z]+|-|\W)?(?:\{[^{}]*\}(?=\{))?\{([^{}]*)\}", r"\1", text)
    return Truth(
        tuple(_without(block, (r"\\([\\{}])", r"\1")).strip("\n").rstrip() for block in code),
        _without(text, (r"(?m)^\\(?:[A-Za-z]+\b ?)?", ""), (r"\\([\\{}])", r"\1")),
    )


def _indented(
    lines: Sequence[str], introduces: Callable[[str], bool], option: str
) -> tuple[list[str], list[str]]:
    """The blocks indented below lines that introduce them, and all lines without markup."""
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
            code.append(said)
            rest += ["", said, ""]
    return code, rest


def _without(text: str, *rules: tuple[str, str]) -> str:
    for pattern, left in rules:
        text = re.sub(pattern, left, text)
    return text


def joined(truths: Iterable[Truth | None]) -> Truth | None:
    """What several sources say together; None if one of them does not tell what a page must say."""
    held = []
    for truth in truths:
        if truth is None:
            return None
        held.append(truth)
    return Truth(
        tuple(block for truth in held for block in truth.code),
        "\n\n".join(truth.text for truth in held),
    )


MARKUPS: dict[str, Callable[[str], Truth | None]] = {
    "reStructuredText": rst,
    "AsciiDoc": asciidoc,
    "Markdown": markdown,
    "Doxygen": doxygen,
    "XML": xml,
    "Texinfo": texinfo,
    "man": man,
    "plain": plain,
    "Vim help": vim_help,
    "Halibut": halibut,
}
