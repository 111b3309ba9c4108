"""What has been read of a page: its lines, lists and rows, as far as they are open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from phloem.filters.raised import write_raised

LINE = "\0n"
"""Stands in text for the end of a line, as `RAISED` does for what stands raised."""

_DEPTH = 20  # lists; those within are indented no further


@dataclass(slots=True)
class OpenList:
    """A list that is open: how its items are marked."""

    kind: str  # as the attribute `type`; "•" unordered, "" unmarked
    value: int
    step: int


@dataclass(slots=True)
class Flow:
    """A flow of blocks: a page's, or that of a table's cell."""

    out: list[str] = field(default_factory=list)
    gap: int = 0  # line ends before what comes next
    marker: str = ""  # of the list's item whose first line comes next
    lists: list[OpenList] = field(default_factory=list)
    row: list[str] = field(default_factory=list)
    span: tuple[int, int] = (1, 1)  # columns and rows of the cell that is open
    taken: dict[int, int] = field(default_factory=dict)  # columns, by cells above, to which row
    reached: bool = False  # whether one of them reaches into the row
    is_wide: bool = False  # whether a row of the table has several cells that hold text
    rows: int = 0
    lines: int = 0  # rows of the table that have ended
    laid_out: bool = False  # holds what is no value of a table's cell: headings, code, tables


@dataclass(slots=True)
class Page:
    """A page that is being read."""

    tokens: Iterator[tuple[str, str, str]]  # text, the name of the tag behind it, its attributes
    inline: list[str] = field(default_factory=list)  # of the line that is being read
    flow: Flow = field(default_factory=Flow)
    flows: list[Flow] = field(default_factory=list)  # around `flow`
    sections: int = 0  # open elements that have footers of their own
    in_form: bool = False

    def part(self, lines: int) -> None:
        """End the line, and have what comes next stand so many lines below it."""
        if self.inline:
            text = "".join(self.inline).strip(" ")
            while "  " in text:  # where words of the page's own controls were set apart
                text = text.replace("  ", " ")
            self.inline.clear()
            if text:
                self.put(_written(text) if "\0" in text else text)
        self.flow.gap = max(self.flow.gap, lines)

    def put(self, text: str) -> None:
        """Write lines, indented as their list is."""
        flow = self.flow
        if flow.lists or flow.marker:
            indent = self.indent(1)
            text = (flow.marker or indent) + text.replace("\n", f"\n{indent}")
            flow.marker = ""
        self.put_whole(text)

    def indent(self, more: int = 0) -> str:
        """The blanks before an item of the list that is open, or before its further lines."""
        return "  " * (min(len(self.flow.lists), _DEPTH) + more)

    def put_whole(self, text: str) -> None:
        """Write text as it is."""
        flow = self.flow
        if flow.out:
            flow.out.append("\n" * (flow.gap or 1))
        flow.out.append(text)
        flow.gap = 0

    def unnumber(self, lines: int) -> None:
        """Take away a block of nothing but the numbers of the lines of code that come next."""
        out = self.flow.out
        if lines == 1 or not out or not out[-1].lstrip(" ").startswith("1\n"):
            return
        if out[-1].split() == [str(number) for number in range(1, lines + 1)]:  # by rustdoc 1.63
            out.pop()
            self.flow.gap = len(out.pop()) if out else 0

    def settle(self) -> None:
        """Give the marker of an item a line of its own if it tells a number."""
        if self.flow.marker.endswith(". "):
            self.put_whole(self.flow.marker.rstrip())
        self.flow.marker = ""


def _written(text: str) -> str:
    """Text in which marks stand, as it is read."""
    return write_raised(text.replace(LINE, "\n").strip("\n").replace("&nbsp;", "\xa0"))
