"""Pages: from a parsed HTML page to the text that its reader sees.

The parser is Resiliparse's; so is its own extractor, whose lists begin at 1 whatever they say, and
which breaks code in lists, rows of tables and exponents. This one reads the parser's serialisation,
which is regular: every element is closed, every attribute quoted, and text holds no `<`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from phloem.filters.page_edits import edit
from phloem.filters.page_elements import (
    BLOCKS,
    HEADINGS,
    LISTS,
    PARAGRAPHS,
    PASSED_OVER,
    SECTIONS,
    trimmed,
)
from phloem.filters.page_flow import LINE, Flow, OpenList, Page
from phloem.filters.page_lists import kind_of, numbered
from phloem.filters.raised import END, RAISED, write_raised

# Buttons that do something to the page, where others hold what it says.
_CONTROL = re.compile(
    r' (?:type="(?:submit|reset)"|aria-(?:haspopup|label)='
    r'|class="[^"]*(?:copy|clip|close|toggle|dropdown|menu|theme))',
    re.IGNORECASE,
)

_TAG = re.compile(r"<(/?[^\s>]++)([^>]*+)>")
_NUMBER = re.compile(r' (?:start|value)="\s*([-+]?\d{1,9})')
_PIECE = 2**18  # characters
_CELL_CHARS = 300  # a cell of more lines and more characters lays a page out, and holds no value
_SPAN = 20  # columns that a cell takes, and those that it takes of rows below: a tab for each
_CELLS = 100  # within each other; what stands in cells within them is read as blocks are
_EMPTY_LINE = re.compile(rf"(?<={LINE})(?: |&nbsp;)+(?=\n?{LINE})")
_OWN_LINE = re.compile(rf"(?:\A|\n)?{LINE}(?:\n?{LINE})*\n?")
_NUMBERED = "\0l"  # at the start of a line of code whose number was taken out

Act = Callable[["Page", str, str], None]


def page_text(tree: Any) -> str:
    """The text that a reader of a parsed page sees, lines and paragraphs as they stand in it.

    A list's items begin with their numbers; a row of a table is a line, its cells parted by tabs;
    code stands as it is, wherever it stands; `2<sup>29</sup>` is `2^29`, and a formula is its TeX,
    made of its MathML where the page has nothing else. Navigation, tables of contents among it, and
    what a browser hides are left out.

    Args:
        tree: Resiliparse's tree, in which formulas are replaced.
    """
    html, edited = trimmed(tree)
    if edited:
        edit(tree)
        html, _ = trimmed(tree)
    page = Page(_tokens(html))
    inline = page.inline
    for text, name, attributes in page.tokens:
        if text:
            inline.append(text)
        _ACTS[name](page, name, attributes)
    page.part(0)
    return _plain("".join(page.flow.out))


def _tokens(html: str) -> Iterator[tuple[str, str, str]]:
    """Each tag's name and attributes after the text before it, read piece by piece."""
    at = 0
    while at < len(html):
        end = html.rfind(">", at, at + _PIECE) + 1 or html.find(">", at) + 1
        if not end:
            return  # nothing stands behind the last tag
        parts = iter(_TAG.split(html[at:end]))
        yield from zip(parts, parts, parts, strict=False)  # a piece ends with a tag
        at = end


def main_text(tree: Any) -> str:
    """What Resiliparse takes for the main content of a parsed page, as it writes it."""
    from resiliparse.extract.html2text import extract_plain_text

    return str(
        extract_plain_text(
            tree,
            preserve_formatting=True,
            main_content=True,
            alt_texts=True,  # without them it skips each <figure> too; what has one is skipped here
            skip_elements=["img", "area", "embed", *PASSED_OVER.split()],
        )
    )


def _plain(text: str) -> str:
    """Text with the characters for what is escaped when a page is serialised."""
    if "&" not in text:
        return text
    text = text.replace("&nbsp;", "\xa0").replace("&lt;", "<").replace("&gt;", ">")
    return text.replace("&amp;", "&")


def _pass_over(page: Page, name: str) -> None:
    """Go on behind an element's end."""
    depth, end = 1, f"/{name}"
    for _, tag, _ in page.tokens:
        depth += (tag == name) - (tag == end)
        if not depth:
            return


def _paragraph(page: Page, _name: str, _attributes: str) -> None:
    page.part(2)


def _block(page: Page, _name: str, _attributes: str) -> None:
    page.part(1)


def _heading(page: Page, _name: str, _attributes: str) -> None:
    page.part(2)
    page.flow.laid_out = True


def _break(page: Page, _name: str, _attributes: str) -> None:
    page.inline.append(LINE)


def _apart(page: Page, _name: str, _attributes: str) -> None:
    page.inline.append(" ")


def _quote(page: Page, name: str, _attributes: str) -> None:
    page.inline.append("”" if name[0] == "/" else "“")


def _ruby(page: Page, name: str, _attributes: str) -> None:
    page.inline.append(")" if name[0] == "/" else "(")


def _raise(page: Page, name: str, _attributes: str) -> None:
    page.inline.append(RAISED.get(name, END))


def _section(page: Page, name: str, _attributes: str) -> None:
    page.part(1 if name.endswith("article") else 2)
    page.sections += -1 if name[0] == "/" else 1


def _footer(page: Page, name: str, _attributes: str) -> None:
    """The footer of an article or a quotation says who wrote it; a page's is navigation."""
    page.part(1)
    if name[0] != "/" and not page.sections:
        _pass_over(page, name)


def _form(page: Page, name: str, _attributes: str) -> None:
    page.part(1)
    page.in_form = name[0] != "/"


def _button(page: Page, name: str, attributes: str) -> None:
    page.inline.append(" ")
    if page.in_form or _CONTROL.search(attributes):
        _pass_over(page, name)


def _dialog(page: Page, name: str, attributes: str) -> None:
    page.part(1)
    if name[0] != "/" and ' open="' not in attributes:
        _pass_over(page, name)


def _code(page: Page, _name: str, _attributes: str) -> None:
    """Code: its lines as they are, without the numbers beside them."""
    page.part(2)
    page.settle()
    parts: list[str] = []
    for text, tag, _ in page.tokens:
        parts.append(text)
        if tag == "/pre":
            break
        if tag == "button":
            _pass_over(page, tag)
        elif tag == "br":
            parts.append("\n")
        elif tag in _RAISING:
            parts.append(RAISED.get(tag, END))
        elif tag in _OWN_LINES:
            parts.append(LINE)
    text = "".join(parts)
    if LINE in text:
        text = _own_lines(text)
    text = text.replace("&nbsp;", " ").rstrip()
    if "\0" in text:
        text = write_raised(text)
    lines = text.count("\n") + 1
    text = text.lstrip("\n")
    if text:
        page.unnumber(lines)
        page.put_whole(text)
        page.flow.laid_out = True
    page.part(2)


def _own_lines(text: str) -> str:
    """Code of which each line is an element; where each begins with a blank, Doxygen put it."""
    if all(line.startswith("&nbsp;") for line in text.split(LINE) if line.strip("\n")):
        text = text.replace(f"{LINE}&nbsp;", f"{LINE}{_NUMBERED}")
    text = _OWN_LINE.sub("\n", _EMPTY_LINE.sub(_NUMBERED, text))
    return text.replace(_NUMBERED, "").strip("\n")


def _list(page: Page, name: str, attributes: str) -> None:
    page.part(1 if page.flow.lists else 2)
    page.settle()
    start = _NUMBER.search(attributes)
    step = -1 if ' reversed="' in attributes else 1
    kind = kind_of(attributes, "1" if name == "ol" else "•")
    page.flow.lists.append(OpenList(kind, int(start[1]) if start else 1, step))


def _list_end(page: Page, _name: str, _attributes: str) -> None:
    page.part(1)
    if page.flow.lists:
        page.flow.lists.pop()
    page.part(1 if page.flow.lists else 2)


def _item(page: Page, _name: str, attributes: str) -> None:
    page.part(1)
    page.settle()
    lists = page.flow.lists
    its = lists[-1] if lists else OpenList("•", 1, 1)
    value = _NUMBER.search(attributes)
    if value:
        its.value = int(value[1])
    mark = numbered(its.value, kind_of(attributes, its.kind))
    page.flow.marker = f"{page.indent()}{mark} " if mark else page.indent(1)
    its.value += its.step


def _item_end(page: Page, _name: str, _attributes: str) -> None:
    page.part(1)
    page.flow.marker = ""


def _table(page: Page, name: str, _attributes: str) -> None:
    """A table, or a group of its rows, out of which no cell reaches."""
    page.part(2 if name.endswith("table") else 1)
    page.flow.taken.clear()
    page.flow.is_wide &= not name.endswith("table")


def _row(page: Page, _name: str, _attributes: str) -> None:
    """A row's end: a line of its cells, or its cells one below the other where they lay out a page.

    A row with one cell that holds text is that text, unless it stands beside one from above or
    below a row of several.
    """
    page.part(1)
    flow = page.flow
    cells, flow.row = flow.row, []
    reached, flow.reached = flow.reached, False
    flow.lines += 1
    held = [cell for cell in cells if cell]
    if any("\n" in cell for cell in held):
        for cell in held:
            page.settle()
            page.put_whole(cell)
            page.part(2)
        flow.laid_out = True
    elif held:
        flow.is_wide |= len(held) > 1
        page.put("\t".join(cells).rstrip("\t") if flow.is_wide or reached else held[0])
        flow.rows += 1


def _cell(page: Page, _name: str, attributes: str) -> None:
    """A cell's start, behind the places in its row that cells above take."""
    page.part(1)
    flow = page.flow
    while flow.taken.get(len(flow.row), -1) >= flow.lines:
        flow.row.append("")
        flow.reached = True
    flow.span = _span(attributes, "col"), _span(attributes, "row")
    page.flows.append(flow)
    if len(page.flows) <= _CELLS:  # or each cell would copy all that it holds once more
        page.flow = Flow()


def _span(attributes: str, of: str) -> int:
    """How many columns or rows a cell takes."""
    said = re.search(rf' {of}span="\s*(\d{{1,4}})', attributes) if attributes else None
    return max(int(said[1]), 1) if said else 1


def _cell_end(page: Page, _name: str, _attributes: str) -> None:
    page.part(1)
    cell, page.flow = page.flow, page.flows.pop()
    if cell is page.flow:
        return
    text = "".join(cell.out)
    if not text.replace("&nbsp;", "").strip():
        text = ""
    if "\n" in text and not cell.laid_out and cell.rows < 2 and len(text) <= _CELL_CHARS:  # noqa: PLR2004
        text = " ".join(line.strip(" ") for line in text.split("\n") if line)
    flow = page.flow
    columns, rows = flow.span
    if rows > 1 and text and "\n" not in text:  # or it is a picture, or lays out a page
        for column in range(len(flow.row), min(len(flow.row) + columns, _SPAN)):
            flow.taken[column] = flow.lines + rows - 1
    flow.row += [text, *[""] * (min(columns, _SPAN) - 1)]


def _closed(names: str, act: Act) -> dict[str, Act]:
    """The same act for the start and the end of some elements."""
    return {tag: act for name in names.split() for tag in (name, f"/{name}")}


_RAISING = frozenset(("sup", "/sup", "sub", "/sub"))
_OWN_LINES = frozenset(_closed("div dd dt li p pre tr", _block))  # in code
_ACTS: dict[str, Act] = {
    **_closed(PARAGRAPHS, _paragraph),
    **_closed(BLOCKS, _block),
    **_closed("table tbody tfoot thead", _table),
    **_closed(HEADINGS, _heading),
    **_closed(SECTIONS, _section),
    **_closed("footer", _footer),
    **_closed("form", _form),
    **_closed("dialog", _dialog),
    **_closed("label", _apart),
    **_closed("q", _quote),
    **_closed("rt", _ruby),
    **_closed("sup sub del s strike", _raise),  # struck digits are parted from those beside them
    **dict.fromkeys(LISTS.split(), _list),
    **{f"/{name}": _list_end for name in LISTS.split()},
    "br": _break,
    "button": _button,
    "/button": _apart,
    "pre": _code,
    "nav": _block,
    "li": _item,
    "/li": _item_end,
    "tr": _block,
    "/tr": _row,
    "td": _cell,
    "th": _cell,
    "/td": _cell_end,
    "/th": _cell_end,
}
