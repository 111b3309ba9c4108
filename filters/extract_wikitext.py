"""The extractor of wikitext, the markup of MediaWiki."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from phloem.catalog.columns import CONTENT, MEDIA_TYPE, TEXT
from phloem.filters.charset import decode
from phloem.filters.extract import each_row
from phloem.filters.op import Measured, op
from phloem.filters.raised import END, RAISED, write_raised
from phloem.filters.wikitext_holes import HOLE, NOTHING, without_holes
from phloem.filters.wikitext_templates import (
    NAMES,
    SIGNS,
    function_of,
    is_silent,
    known,
    own_name,
)

MAX_BYTES = 4 * 2**20
"""Of one page. MediaWiki refuses pages of more than 2 MiB ($wgMaxArticleSize)."""

MAX_UNCLOSED = 2**24
"""Markup that does not close, times the characters of the page: the parser reads the rest of the
page again for each, so this many take it up to ten seconds (measured), and 20 kB of nothing but
`{{a|` would take half a minute."""

FILES = ("File", "Image", "Media", "Category")
"""Namespaces whose links show a file or sort the page, as every wiki understands them."""

# `noinclude` is the running head and foot in Wikisource's pages.
_DROPPED = frozenset(
    (
        "categorytree gallery graph hiero imagemap includeonly indicator inputbox mapframe maplink"
        " noinclude pagelist pages ref references score script section style table templatedata"
        " templatestyles timeline"
    ).split()
)
_CODE = frozenset({"pre", "source", "syntaxhighlight"})
_PARAGRAPHS = frozenset({"blockquote", "p", "poem"})
_LINES_OF = frozenset({"center", "dd", "div", "dl", "dt", "li", "ol", "td", "tr", "ul"})
_SINGLE = frozenset({"br", "dd", "dt", "hr", "img", "li", "td", "th", "tr", "wbr"})  # never close

_MARKS = re.compile(
    r"(?P<open>\{\{|\[\[|\{\||<!--|\[(?=\w+:|//))"
    r"|(?P<close>\}\}|\]\]|\|\}|-->|\])"
    r"|<(?P<begin>[A-Za-z]\w*)|</(?P<end>[A-Za-z]\w*)|(?P<whole>/?>)"
)
_TAG_BREAK = re.compile(r"(<[A-Za-z]\w*)\r?\n")  # which the parser takes for no tag
_CLOSES = {"}}": "{{", "]]": "[[", "|}": "{|", "-->": "<!--", "]": "["}
_LINKS_TYPE = re.compile(r""";\s*files\s*=\s*"([^"]*)\"""")
_FILE_OPTION = re.compile(r"(?:^|\|)\s*(?:thumb|thumbnail|frame|frameless|\d*x?\d+px)\s*(?:\||$)")
_LANGUAGE_LINK = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*|simple")
_SWITCH = re.compile(r"__[^\W\d_]{3,}__")  # __NOTOC__ and its translations
_QUOTES = re.compile(r"'{2,}")
_ITALIC, _BOLD, _BOTH = 2, 3, 5  # apostrophes
_OWN_MARKS = str.maketrans("", "", f"\0{HOLE}{NOTHING}")
# What stands in the script or words of a variant; and where it is not looked for.
_VARIANTS = re.compile(
    r"(?P<kept><(?P<tag>math|chem|ce|nowiki|pre|source|syntaxhighlight)\b[^<>]*(?<!/)>.*?</(?P=tag)\s*>)"
    r"|-\{(?!\{)(?:(?P<flags>[-A-Za-z;]*)\|)?(?P<said>(?:[^{}]|\{\{[^{}]*\}\})*)\}-",
    re.DOTALL | re.IGNORECASE,
)
_VARIANT = re.compile(
    r"\s*(?:[^:;{}|]*=>)?\s*(?:zh|sr|kk|ku|uz|tg|shi|iu|crh|gan|ban)[\w-]*\s*:([^;]*)"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\n{3,}")
_BREAK = "\r"  # ends a line that has not ended
_BREAKS = re.compile(r"\n?\r[\r ]*\n?")
_TABLE_OR_BULLET = re.compile(r"\s*(?:\{?\||•$)")
_BULLETS = re.compile(r"(?:• ?){2,}")
# What stands in brackets once templates are gone: "( ; )", "(, born 1900)".
_EMPTY_BRACKETS = re.compile(r"[^\S\n]*[(（][\s,;:،؛、，；·]*[)）]")
_OPEN_BRACKET = re.compile(r"([(（])[\s,;:،؛、，；]+")


@dataclass(frozen=True)
class _Piece:
    """A part of a page.

    Attributes:
        text: As it is shown.
        level: Of a heading, 1 to 6; 0 for what is none.
        is_code: Whether its spaces and line breaks stay as they are.
    """

    text: str
    level: int = 0
    is_code: bool = False


@op(
    reads=[CONTENT, MEDIA_TYPE],
    writes=[TEXT],
    version=5,
    media_types=["text/x-wiki"],
    libraries=["mwparserfromhell"],
    data=[NAMES],
    examples=[
        (
            (
                b"'''Mwanza''' ni [[mji|jiji]].{{ref|1}}\n== Historia ==\n* Moja<ref>x</ref>",
                "text/x-wiki",
            ),
            "Mwanza ni jiji.\n\nHistoria\n\n• Moja",
        ),
        ((b"[[Picha:A.jpg|Ziwa]]Maji\n[[Jamii:B]]", 'text/x-wiki; files="Picha|Jamii"'), "Maji"),
        (
            ("हिन्दी ({{lang|en|Hindi}})\n{|\n|x\n|}\n== खाली ==\n".encode(), "text/x-wiki"),
            "हिन्दी (Hindi)",
        ),
        ((b"caf\xe9", "text/x-wiki"), None),
    ],
)
def wikitext(batch: pa.RecordBatch) -> Measured:
    """Extract the readable text of wikitext with mwparserfromhell (MediaWiki's markup).

    Headings, paragraphs, lists and code stay, formulas as LaTeX between dollar signs, powers as
    `10^6`. Of templates those show what they hold that many wikis share (`wikitext_templates.py`).
    A sentence that lost another in its middle goes whole, or the bracket alone that held it; notes,
    boxes and what stands behind a sentence leave no hole. Several lines that begin with a blank
    keep theirs. Of variants (`-{zh-hans:…}-`) the first stays. Tables, references, files,
    categories, comments and links to other languages are left out, and a heading under which
    nothing is left goes with them. A dump names namespaces in its wiki's language only, so those of
    files and categories come as a parameter of the media type: `text/x-wiki; files="Picha|Jamii"`.
    The encoding is found as for plain text (RFC 3629).
    """
    return each_row(batch, _convert)


def _convert(content: bytes, media_type: str | None) -> str:
    import mwparserfromhell

    if len(content) > MAX_BYTES:
        msg = f"wikitext of more than {MAX_BYTES} bytes"
        raise ValueError(msg)
    said = _LINKS_TYPE.search(media_type or "")
    names = [*FILES, *(said[1].split("|") if said else ())]
    files = frozenset(_key(name) for name in names)
    text = decode(content, media_type).translate(_OWN_MARKS)
    text = _TAG_BREAK.sub(r"\1 ", text)
    if _unclosed(text) * len(text) > MAX_UNCLOSED:
        msg = "wikitext with too much markup that does not close"
        raise ValueError(msg)
    try:
        text = _VARIANTS.sub(_variant, text)
        parsed = mwparserfromhell.parse(text, skip_style_tags=True)  # see _unquoted
    except (mwparserfromhell.parser.ParserError, RecursionError) as error:
        msg = f"cannot be parsed as wikitext: {type(error).__name__}"
        raise ValueError(msg) from None
    return _joined(_tidied(_pieces(parsed, files)))


def _variant(found: re.Match[str]) -> str:
    """What is shown of markup of variants: the first that it names, or what is one for all.

    Its flags are those of MediaWiki's LanguageConverter: H, T and D and the hyphen show nothing.
    """
    if found["kept"]:
        return found[0]
    if found["flags"] and set(found["flags"].upper()) <= set("HTD-;"):
        return ""
    said = _VARIANT.match(found["said"])
    return said[1].strip() if said else found["said"]


def _unclosed(text: str) -> int:
    """How many openings of templates, links, tables, comments and tags have no end."""
    stack: list[str] = []
    held: Counter[str] = Counter()
    lost = 0

    def close(kind: str) -> int:
        if not held[kind]:
            return 0
        above = 0
        while (top := stack.pop()) != kind:
            held[top] -= 1
            above += 1
        held[kind] -= 1
        return above

    for mark in _MARKS.finditer(text):
        kind, found = str(mark.lastgroup), mark[mark.lastgroup or 0].lower()
        if kind in {"open", "begin"}:
            stack.append(found)
            held[found] += 1
        elif kind == "close":
            lost += close(_CLOSES[found])
        elif kind == "end":
            lost += close(found)
        elif stack and stack[-1].isalnum() and (found == "/>" or stack[-1] in _SINGLE):
            held[stack.pop()] -= 1
    return lost + len(stack)


def _key(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def _pieces(code: Any, files: frozenset[str]) -> Iterator[_Piece]:
    """The parts that are shown, in order."""
    from mwparserfromhell import nodes

    show: dict[type, Callable[[Any], Iterator[_Piece]]] = {
        nodes.Text: lambda node: _one(node.value),
        nodes.HTMLEntity: lambda node: _one(_entity(node)),
        nodes.Heading: lambda node: _heading(node, files),
        nodes.Wikilink: lambda node: _link(node, files),
        nodes.ExternalLink: lambda node: _external(node, files),
        nodes.Template: lambda node: _template(node, files),
        nodes.Tag: lambda node: _tag(node, files),
    }
    for node in code.nodes:
        shown = show.get(type(node))  # comments and parameters of templates are not
        if shown:
            yield from shown(node)


def _one(text: str) -> Iterator[_Piece]:
    yield _Piece(text)


def _entity(node: Any) -> str:
    try:
        shown = str(node.normalize())
    except (ValueError, OverflowError):  # a number that is no character
        return ""
    return "" if _SURROGATE.search(shown) else shown


def _heading(node: Any, files: frozenset[str]) -> Iterator[_Piece]:
    yield _Piece(_shown(node.title, files), level=node.level)


def _link(node: Any, files: frozenset[str]) -> Iterator[_Piece]:
    title = str(node.title).strip()
    prefix, colon, _ = title.partition(":")
    if colon and prefix:
        is_file = _key(prefix) in files or _FILE_OPTION.search(str(node.text or ""))
        if is_file or (node.text is None and _LANGUAGE_LINK.fullmatch(prefix)):
            return
    if node.text is not None:
        yield from _pieces(node.text, files)
    else:
        yield _Piece(title.removeprefix(":"))


def _external(node: Any, files: frozenset[str]) -> Iterator[_Piece]:
    if node.title is not None:
        yield from _pieces(node.title, files)
    elif not node.brackets:
        yield _Piece(str(node.url))


def _template(node: Any, files: frozenset[str]) -> Iterator[_Piece]:
    name = _shown(node.name, files)
    said = NOTHING if is_silent(_key(name)) else SIGNS.get(_key(name))
    if said and said.strip() and said != NOTHING and node.params:
        said = None  # a sign that takes something is another template
    if said is None:
        said = function_of(name)
    shows = (own_name(name) or known(_key(name))) if said is None else None
    if shows:
        given, named = [], {}
        for parameter in node.params:
            key = str(parameter.name).strip()
            if key.isdecimal():
                given.append((int(key), _shown(parameter.value, files)))
            else:
                named[key] = _shown(parameter.value, files)
        said = shows([value for _, value in sorted(given)], named)
    if said is not None and (said or not shows):
        yield _Piece(said)
    elif "\n" not in str(node):  # a box beside the text has lines of its own
        yield _Piece(HOLE)


def _shown(code: Any, files: frozenset[str]) -> str:
    return "".join(piece.text for piece in _pieces(code, files))


def _tag(node: Any, files: frozenset[str]) -> Iterator[_Piece]:
    name = str(node.tag).strip().lower()
    if node.wiki_markup in {"*", "#"}:
        yield _Piece("• ")
    elif node.wiki_markup in {":", ";"} or name in {"br", "hr"}:
        yield _Piece(_BREAK)
    elif name == "math":
        yield _Piece(f"${node.contents}$" if node.contents else "")
    elif name in _CODE:
        yield _Piece(str(node.contents or "").strip("\n"), is_code=True)
    elif name in {"sup", "sub"}:
        yield _Piece(RAISED[name])
        yield from _pieces(node.contents, files)
        yield _Piece(END)
    elif name == "nowiki":
        yield _Piece(str(node.contents or ""))
    elif name not in _DROPPED and node.contents is not None:
        edge = "\n\n" if name in _PARAGRAPHS else _BREAK if name in _LINES_OF else ""
        yield _Piece(edge)
        yield from _pieces(node.contents, files)
        yield _Piece(edge)


def _tidied(pieces: Iterator[_Piece]) -> list[_Piece]:
    """Neighbouring text as one piece, without what removed markup left; nothing that is empty."""
    found: list[_Piece] = []
    held: list[str] = []
    for piece in [*pieces, _Piece("", level=-1)]:
        if not (piece.level or piece.is_code):
            held.append(piece.text)
            continue
        found.append(_Piece(_tidy("".join(held))))
        held = []
        found.append(piece if piece.is_code else _Piece(_tidy(piece.text), piece.level))
    return [piece for piece in found if piece.text.strip()]


def _tidy(text: str) -> str:
    text = "\n".join(map(_unquoted, _SWITCH.sub("", text).split("\n")))
    text = _BULLETS.sub("• ", _BREAKS.sub("\n", write_raised(text)))
    text = "\n".join(map(without_holes, text.split("\n"))).translate(_OWN_MARKS)
    text = _OPEN_BRACKET.sub(r"\1", _EMPTY_BRACKETS.sub("", text))
    lines = _laid(text.split("\n"))
    # Lines of tables that do not close, and items of lists that held only what is left out.
    lines = [line for line in lines if not _TABLE_OR_BULLET.match(line)]
    return _LINES.sub("\n\n", "\n".join(lines)).strip("\n")


def _laid(lines: list[str]) -> list[str]:
    """Lines without spare blanks; of several that begin with one, which stands for code, all."""
    indented = [line.startswith(" ") and not line.isspace() for line in lines]
    beside = zip([False, *indented], indented, [*indented[1:], False], strict=False)
    return [
        line[1:].rstrip() if itself and (above or below) else _SPACES.sub(" ", line).strip()
        for line, (above, itself, below) in zip(lines, beside, strict=True)
    ]


def _unquoted(line: str) -> str:
    """A line without the apostrophes that make bold and italic, but with those of words.

    Where bold and italic both lack an end, three apostrophes are one and the beginning of italic,
    as in ``l'''Iliade''``: after a word of one letter, else after any (MediaWiki's doQuotes).
    """
    runs = list(_QUOTES.finditer(line))
    if not runs:
        return line
    sizes = [len(run[0]) for run in runs]
    marks = [_BOLD if size == _BOLD + 1 else min(size, _BOTH) for size in sizes]
    kept = [size - mark for size, mark in zip(sizes, marks, strict=True)]
    italic, bold = (sum(mark in {kind, _BOTH} for mark in marks) for kind in (_ITALIC, _BOLD))
    if italic % 2 and bold % 2:
        before = [line[max(0, run.start() - 2) : run.start()] for run in runs]
        threes = [place for place, mark in enumerate(marks) if mark == _BOLD]
        after = [place for place in threes if before[place] and before[place][-1] != " "]
        short = [place for place in after if before[place][:-1] in {"", " "}]
        for place in [*short, *after, *threes][:1]:
            kept[place] += 1
    count = iter(kept)
    return _QUOTES.sub(lambda _: "'" * next(count), line)


def _joined(pieces: list[_Piece]) -> str:
    """All pieces but headings under which there is nothing before the next of their level."""
    kept: list[str] = []
    filled, level, text = False, 0, False  # whether the heading after has something; its level
    for piece in reversed(pieces):
        if not piece.level:
            kept.append(piece.text)
            text = True
        elif text or (filled and level > piece.level):
            kept.append(piece.text)
            filled, level, text = True, piece.level, False
    return "\n\n".join(reversed(kept))
