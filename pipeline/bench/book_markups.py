"""Markups of books that are numbered as they are made: Texinfo and Halibut."""

from __future__ import annotations

import re

from phloem.pipeline.bench.truth import Truth, without


class _Numbers:
    """The numbers of a book's chapters, appendices and what is in them."""

    def __init__(self) -> None:
        self._at = [0]
        self._appendix = False

    def of(self, level: int, *, appendix: bool = False) -> str:
        """The number of the next of a level, 0 for chapters."""
        if appendix and not self._appendix:
            self._at, self._appendix = [0], True
        self._at = [*self._at, 0][: level + 1] if len(self._at) <= level + 1 else self._at
        self._at = self._at[: level + 1]
        self._at[level] += 1
        first = chr(ord("A") + self._at[0] - 1) if self._appendix else str(self._at[0])
        return ".".join([first, *map(str, self._at[1:])])


_TEXINFO_UNSAID = (
    "node|[cfkptv]index|end|set|clear|include|anchor|need|group|noindent|syncodeindex|printindex"
    "|contents|example|itemize|enumerate|table"
)
_TEXINFO_LEVELS = {
    **dict.fromkeys(("chapter", "appendix"), 0),
    **dict.fromkeys(("section", "appendixsec", "appendixsection"), 1),
    **dict.fromkeys(("subsection", "appendixsubsec"), 2),
    **dict.fromkeys(("subsubsection", "appendixsubsubsec"), 3),
}


def texinfo(source: str) -> Truth:
    """Texinfo: code is an example without commands of its own."""
    source = re.sub(
        r"(?ms)\A.*?^@top.*?$|^@(ignore|tex|iftex|ifinfo|ifnothtml|direntry|copying|titlepage"
        r"|ifplaintext|macro|detailmenu)\b.*?^@end \1$|^@bye.*",
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
    numbers = _Numbers()

    def heading(found: re.Match[str]) -> str:
        level = _TEXINFO_LEVELS[found[1]]
        number = numbers.of(level, appendix=found[1] == "appendix")
        return f"{'Appendix ' if found[1] == 'appendix' else ''}{number} "

    text = re.sub(rf"(?m)^@({'|'.join(_TEXINFO_LEVELS)}) ", heading, source)
    text = without(
        text,
        (r"@tie\{\}", " "),
        (r"(?m)^@deftypefunx? ", "Function: "),
        (r"(?m)^@deftypevrx? \{?([^}\s]*)\}? ", r"\1: "),
        (r"(?m)^\* ([^:\n]*)::", r"\1:"),
        (r"(?m)^\* ([^:\n]*): [^.\n]*\.", r"\1:"),
        (r"@xref\{", "See @ref{"),
        (r"@pxref\{", "see @ref{"),
    )
    for _ in range(4):  # within each other
        text = re.sub(r"@(?:anchor|[cfkptv]index|footnotemark)\{[^{}]*\}", "", text)
        text = re.sub(r"@(?:uref|url)\{([^{},]*),([^{},]*)\}", r"\2 (\1)", text)
        text = re.sub(r"@(?:ref|inforef)\{[^{},]*,+([^{},]*)[^{}]*\}", r"\1", text)
        text = re.sub(r"@[a-zA-Z]+\{([^{}]*)\}", r"\1", text)
    return Truth(
        tuple(code),
        without(
            text,
            (rf"(?m)^@(?:{_TEXINFO_UNSAID}).*$", ""),
            (r"(?m)^@[a-zA-Z]+ ?", ""),
            (r"@(?=[@{}.*:!?])", ""),
        ),
    )


_HALIBUT_LEVELS = {"C": 0, "A": 0, "H": 1, "S": 2, "S2": 3, "S3": 4}
_HALIBUT_UNSAID = "cfg|versionid|define|IM|title|copyright|nocite|BR|preamble|UI"
# Characters that stand for a backslash and braces of the text.
_ESCAPED = {"\\\\": "\ue000", "\\{": "\ue001", "\\}": "\ue002"}


def halibut(source: str) -> Truth:
    """Halibut: code is lines that begin with a backslash and c."""
    for written, stands in _ESCAPED.items():
        source = source.replace(written, stands)
    source = re.sub(
        rf"(?m)^\\(?:{_HALIBUT_UNSAID})\b.*\n(?:\S.*\n)*|^\\#.*\n(?:\S.*\n)*", "", source
    )
    code: list[str] = []
    held: list[str] = []

    def listing(found: re.Match[str]) -> str:
        block = re.sub(r"(?m)^\\c ?", "", re.sub(r"(?m)^\\e.*\n", "", found[0]))
        code.append(_halibut_plain(block).strip("\n").rstrip())
        held.append(block)
        return f"\n\0{len(held) - 1}\0\n"

    text = re.sub(r"(?m)(?:^\\[ce](?: .*)?\n)+", listing, source)
    numbers, named = _Numbers(), {}

    def heading(found: re.Match[str]) -> str:
        kind, key = found[1], found[2]
        number = numbers.of(_HALIBUT_LEVELS[kind], appendix=kind == "A")
        word = found[3] or {"C": "Chapter", "A": "Appendix"}.get(kind, "Section")
        named[key] = f"{word.lower()} {number}"
        return f"{word} {number}: " if kind in "CA" else f"{number} "

    text = re.sub(r"(?m)^\\(C|A|H|S\d?)\{([^{}]*)\}(?:\{([^{}]*)\})? ", heading, text)
    text = re.sub(r"\\k\{([^{}]*)\}", lambda found: named.get(found[1], ""), text)
    text = re.sub(r"\\K\{([^{}]*)\}", lambda found: named.get(found[1], "").capitalize(), text)
    text = without(
        text,
        (r"(?m)^\\(?:U|b|n|dt|dd|rule)\b(?:\{[^{}]*\})? ?", ""),
        (r"\\(?:W|u[0-9A-Fa-f]{4})\{[^{}]*\}", ""),
        (r"\\u[0-9A-Fa-f]{4}|\\-", "-"),
        (r"\\_|\\\.", " "),
    )
    for _ in range(6):  # within each other
        text = re.sub(r"\\(?:I|#)\{[^{}]*\}", "", text)
        text = re.sub(r"(?:\\[a-zA-Z]+)+\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\0(\d+)\0", lambda found: held[int(found[1])], text)
    return Truth(tuple(code), _halibut_plain(text))


def _halibut_plain(text: str) -> str:
    for written, stands in _ESCAPED.items():
        text = text.replace(stands, written[1:])
    return text
