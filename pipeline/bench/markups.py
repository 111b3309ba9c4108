"""Markups: what the source of a page says, its markup taken out by a few rules.

A source that takes in others, or what a program writes, tells only a part, and gives None.

The rules are short and leave some markup, so that nothing that is read reaches a word F1 of 1; what
they tell of code is exact, or the block is left out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from phloem.pipeline.bench.book_markups import halibut, texinfo
from phloem.pipeline.bench.light_markups import (
    asciidoc,
    doxygen,
    gi_docgen,
    headed,
    markdown,
    node,
    rst,
)
from phloem.pipeline.bench.truth import Truth, without


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


def man(source: str) -> Truth | None:
    """Manual pages, whose code is not told from their text."""
    if re.search(r"(?m)^\.so ", source):
        return None
    return Truth(
        (),
        without(
            source,
            (r'(?m)^[.\'](?:\\"|ds|de|ie|el|if|nr|ad|hy|nh|ne|tr|so).*$|\\".*$', ""),
            (r"(?ms)^\.TS$.*?\.$", ""),
            (r"(?m)^[.'](?:TH) (\S+) .*$", r"\1"),
            (r"(?m)^\.(?:TP|RS|RE|sp|in|ti|PD|HP|IX).*$", ""),
            (r"(?m)^\.IP \\\(bu.*$", ""),
            (r"\b(\d)X\b", r"\1x"),  # sections, as the generator writes them
            (r"(?m)^\\\(bu$", "o"),  # to a terminal
            (r"(?m)^\.IP (\"[^\"]*\"|\S+) [\d.]+[a-z]?$", r"\1"),
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


MARKUPS: dict[str, Callable[[str], Truth | None]] = {
    "reStructuredText": rst,
    "AsciiDoc": asciidoc,
    "Markdown": markdown,
    "Markdown with a head": headed,
    "Node.js": node,
    "gi-docgen": gi_docgen,
    "Doxygen": doxygen,
    "XML": xml,
    "Texinfo": texinfo,
    "man": man,
    "plain": plain,
    "Vim help": vim_help,
    "Halibut": halibut,
}
