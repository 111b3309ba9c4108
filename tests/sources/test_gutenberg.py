"""The connector for Project Gutenberg."""

from __future__ import annotations

import bz2
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import web_host
from pydantic import ValidationError
from reading import contents, read_all, read_files

from phloem.sources.connector import Pin, PinnedFile, SourceError
from phloem.sources.connectors import gutenberg
from phloem.sources.formats import together

BOOK = """\ufeffThe Project Gutenberg eBook of {title}

This ebook is for the use of anyone anywhere in the United States …

Title: {title}
        volume um

Author: Machado de Assis

Release date: September 13, 2017 [eBook #55752]

Language: Portuguese

Credits: Produced by someone


*** START OF THE PROJECT GUTENBERG EBOOK {title} ***




Produced by Ana and the Online
Distributed Proofreading Team

CAPÍTULO I

{text}

Fim.

End of the Project Gutenberg EBook of {title}

*** END OF THE PROJECT GUTENBERG EBOOK {title} ***

Updated editions will replace the previous one—the old editions will be renamed.
"""


def rdf(number: int, *, rights: str = gutenberg.FREE, kind: str = "Text", more: str = "") -> str:
    languages = "".join(
        f"<dcterms:language><rdf:Description><rdf:value>{tag}</rdf:value></rdf:Description>"
        "</dcterms:language>"
        for tag in (more or "pt").split()
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<rdf:RDF xmlns:dcterms="http://purl.org/dc/terms/"
  xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
  xmlns:pgterms="http://www.gutenberg.org/2009/pgterms/">
  <pgterms:ebook rdf:about="ebooks/{number}">
    <dcterms:title>Dom Casmurro</dcterms:title>
    <dcterms:rights>{rights}</dcterms:rights>
    {languages}
    <dcterms:type><rdf:Description><rdf:value>{kind}</rdf:value></rdf:Description></dcterms:type>
    <dcterms:hasFormat>
      <pgterms:file rdf:about="https://www.gutenberg.org/ebooks/{number}.txt.utf-8" />
    </dcterms:hasFormat>
  </pgterms:ebook>
</rdf:RDF>
"""


def catalogue(members: dict[int, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:bz2") as archive:
        for number, text in members.items():
            info = tarfile.TarInfo(f"cache/epub/{number}/pg{number}.rdf")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[web_host.Host]:
    with web_host.running(monkeypatch) as found:
        monkeypatch.setattr(gutenberg, "SITE", found.address)
        found.pages[f"/{gutenberg.CATALOGUE}"] = web_host.Page(
            catalogue(
                {
                    55752: rdf(55752),
                    2: rdf(2, rights="Copyrighted. Read the copyright notice inside this book"),
                    3: rdf(3, kind="Sound"),
                    4: rdf(4, more="pt fr"),
                    5: rdf(5, more="fr"),
                    7: rdf(7, more="zh"),
                    8: rdf(8),
                }
            )
        )
        for number in (8, 55752):
            book = BOOK.format(title="Dom Casmurro", text=f"Livro {number}: não é coração.")
            found.pages[place(number)] = web_host.Page(book.replace("\n", "\r\n").encode())
        book = BOOK.format(title="道德經", text="道可道，非常道。")
        found.pages[place(7)] = web_host.Page(book.encode())
        yield found


def place(number: int) -> str:
    return f"/cache/epub/{number}/pg{number}.txt"


def test_gutenberg_free_texts_of_the_languages_are_read(
    host: web_host.Host, tmp_path: Path
) -> None:
    params = gutenberg.Params(languages=["pt", "zh"])
    rows, faults = read_all(gutenberg, params, tmp_path / "files")
    assert faults == []
    assert [row["native_id"] for row in rows] == ["pg7", "pg8", "pg55752"]
    assert contents(rows)[0] == "CAPÍTULO I\n\n道可道，非常道。\n\nFim."
    assert contents(rows)[1] == "CAPÍTULO I\n\nLivro 8: não é coração.\n\nFim."
    assert [row["declared_language"] for row in rows] == ["zh", "pt", "pt"]
    assert rows[1]["title"] == "Dom Casmurro volume um"
    assert rows[1]["author"] == "Machado de Assis"
    assert rows[1]["url"] == "https://www.gutenberg.org/ebooks/8"


def test_gutenberg_include_and_exclude_choose_numbers(host: web_host.Host) -> None:
    only = gutenberg.resolve(gutenberg.Params(languages=["pt"], include=[8, 2]))
    assert [file.name for file in only.files] == ["pt/pg8.txt"]
    rest = gutenberg.resolve(gutenberg.Params(languages=["pt"], exclude=[8]))
    assert [file.name for file in rest.files] == ["pt/pg55752.txt"]
    with pytest.raises(SourceError, match="no free text in pt"):
        gutenberg.resolve(gutenberg.Params(languages=["pt"], include=[2]))


def test_gutenberg_very_many_books_share_splits_up_to_their_size(
    host: web_host.Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = gutenberg.Params(languages=["pt", "zh"])
    pin = gutenberg.resolve(params)
    assert len(gutenberg.splits(params, pin, {})) == 3
    monkeypatch.setattr(together, "ALONE", 2)
    monkeypatch.setattr(together, "BITS", 0)
    assert len(gutenberg.splits(params, pin, {})) == 1
    rows, faults = read_all(gutenberg, params, tmp_path / "files")
    assert (len(rows), faults) == (3, [])
    monkeypatch.setattr(gutenberg, "SPLIT_BYTES", 1)
    assert len(gutenberg.splits(params, pin, {})) == 3


@pytest.mark.parametrize("broken", [b"no bzip2", bz2.compress(b"no tar"), b""])
def test_gutenberg_catalogue_that_cannot_be_read_is_an_error(
    host: web_host.Host, broken: bytes
) -> None:
    host.pages[f"/{gutenberg.CATALOGUE}"] = web_host.Page(broken)
    with pytest.raises(SourceError):
        gutenberg.resolve(gutenberg.Params(languages=["pt"]))


def test_gutenberg_catalogue_that_is_cut_is_an_error(host: web_host.Host) -> None:
    many = catalogue({number: rdf(number) for number in range(1, 200)})
    host.pages[f"/{gutenberg.CATALOGUE}"] = web_host.Page(many[: len(many) // 2])
    with pytest.raises(SourceError, match="cannot be read to its end"):
        gutenberg.resolve(gutenberg.Params(languages=["pt"]))


def test_gutenberg_entry_with_entities_is_no_book(host: web_host.Host) -> None:
    bomb = rdf(8).replace("<rdf:RDF", '<!DOCTYPE r [<!ENTITY a "pt">]>\n<rdf:RDF')
    host.pages[f"/{gutenberg.CATALOGUE}"] = web_host.Page(
        catalogue({8: bomb.replace(">pt<", ">&a;<"), 55752: rdf(55752)})
    )
    pin = gutenberg.resolve(gutenberg.Params(languages=["pt"]))
    assert [file.name for file in pin.files] == ["pt/pg55752.txt"]


def test_gutenberg_book_that_was_corrected_is_an_error(host: web_host.Host, tmp_path: Path) -> None:
    params = gutenberg.Params(languages=["pt"], include=[8])
    pin = gutenberg.resolve(params)
    host.pages[place(8)] = web_host.Page(host.pages[place(8)].body.replace(b"8", b"9"))  # type: ignore[union-attr]
    with pytest.raises(SourceError, match="is locked"):
        gutenberg.fetch(params, pin, tmp_path)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"a text of nobody", "book without the lines that mark its start and end"),
        (BOOK.format(title="A", text="b").encode()[:400], "book without the lines"),
        (b"x" * 5000, "larger than 2000 bytes (limits.record_bytes)"),
    ],
)
def test_gutenberg_text_that_is_no_book_is_a_fault(
    tmp_path: Path, body: bytes, reason: str
) -> None:
    (tmp_path / "a").write_bytes(body)
    pin = Pin("1", (PinnedFile("pt/pg8.txt", "0" * 64, len(body)),))
    params = gutenberg.Params(languages=["pt"])
    files = {"pt/pg8.txt": str(tmp_path / "a")}
    rows, faults = read_files(gutenberg, params, pin, files, record_bytes=2000)
    assert rows == []
    assert [fault.native_id for fault in faults] == ["pg8"]
    assert faults[0].reason.startswith(reason)


def test_gutenberg_old_marks_are_known_too(tmp_path: Path) -> None:
    book = BOOK.format(title="A", text="b").replace("OF THE PROJECT", "OF THIS PROJECT")
    (tmp_path / "a").write_text(book)
    pin = Pin("1", (PinnedFile("pt/pg8.txt", "0" * 64, 1),))
    files = {"pt/pg8.txt": str(tmp_path / "a")}
    rows, _ = read_files(gutenberg, gutenberg.Params(languages=["pt"]), pin, files)
    assert contents(rows) == ["CAPÍTULO I\n\nb\n\nFim."]


def test_gutenberg_card_without_languages_is_refused() -> None:
    with pytest.raises(ValidationError):
        gutenberg.Params(languages=[])
