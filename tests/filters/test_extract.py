from __future__ import annotations

import pyarrow as pa
import pytest

from phloem.filters.extract import html, plain_text
from phloem.filters.op import Measured, Op


def _run(op: Op, *contents: bytes | None, media_type: str = "text/plain") -> Measured:
    rows = pa.array(list(contents), pa.binary())
    return op(pa.record_batch({"content": rows, "media_type": [media_type] * len(contents)}))


def _text(op: Op, content: bytes, media_type: str) -> str:
    measured = _run(op, content, media_type=media_type)
    assert not measured.faults
    return str(measured.arrays[0][0].as_py())


@pytest.mark.parametrize(
    ("content", "media_type", "text"),
    [
        ("नमस्ते दुनिया".encode(), "text/plain", "नमस्ते दुनिया"),
        (b"\xef\xbb\xbf" + "สวัสดี".encode(), "text/markdown", "สวัสดี"),
        ("漢字".encode("utf-16"), "text/plain", "漢字"),
        (b"\xff\xfe\x00\x00" + "😀".encode("utf-32-le"), "text/plain", "😀"),
        (b"caf\xe9", 'text/plain; Charset="ISO-8859-1"', "café"),
        ("привет".encode("koi8-r"), "text/plain;charset=koi8-r", "привет"),
        (b"a\x00b", "text/x-c", "a\x00b"),
        (b"", "text/plain", ""),
    ],
)
def test_plain_text_decodes(content: bytes, media_type: str, text: str) -> None:
    assert _text(plain_text, content, media_type) == text


def test_plain_text_names_the_first_bad_byte_and_keeps_the_other_rows() -> None:
    surrogate = b"ok \xed\xa0\x80"
    measured = _run(plain_text, b"fine", b"caf\xe9!", surrogate, "ende €".encode(), None)
    assert measured.arrays[0].to_pylist() == ["fine", None, None, "ende €", None]
    assert measured.faults == {
        1: "not UTF-8 (byte 3)",
        2: "not UTF-8 (byte 3)",
        4: "no content",
    }


@pytest.mark.parametrize("name", ["no-such-charset", "base64", "zip"])
def test_plain_text_of_an_unknown_charset_is_a_fault(name: str) -> None:
    measured = _run(plain_text, b"abc", media_type=f"text/plain; charset={name}")
    assert measured.faults == {0: f"unknown charset '{name}'"}


def test_plain_text_of_twenty_megabytes_in_one_line_passes() -> None:
    line = "lorem ipsüm ".encode() * 1_600_000
    measured = _run(plain_text, line)
    assert len(measured.arrays[0][0].as_py().encode()) == len(line)


PAGE = """<!DOCTYPE html><html><head><title>t</title><style>p{}</style></head><body>
<div role="navigation"><a href=x>Previous</a></div><div class="navheader">Inhalt</div>
<nav>Menu</nav><h1>Kapitel</h1><p>Erster   Absatz
geht weiter.</p><p>Zweiter.</p><pre>if x:
    y()</pre><ul><li>eins</li></ul><script>alert(1)</script><!-- no -->
<div class="sphinxsidebar">Side</div><div class="navfooter">Weiter</div></body></html>"""


def test_html_keeps_paragraphs_and_code_and_drops_navigation() -> None:
    text = _text(html, PAGE.encode(), "text/html")
    assert text.startswith("Kapitel\n\nErster Absatz geht weiter.\n\nZweiter.\n\nif x:\n    y()")
    assert "eins" in text
    for gone in ("Previous", "Inhalt", "Menu", "alert", "p{}", "Side", "Weiter", "no --"):
        assert gone not in text


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        ("<p>größe</p>".encode("iso-8859-1"), "text/html; charset=iso-8859-1"),
        ('<meta charset="windows-1252"><p>größe</p>'.encode("cp1252"), "text/html"),
        ("<p>größe</p>".encode("utf-16"), "text/html"),
        (b"\xef\xbb\xbf" + "<p>größe</p>".encode(), "text/html; charset=iso-8859-1"),
        ("<p>größe</p>".encode(), "application/xhtml+xml"),
    ],
)
def test_html_finds_the_encoding(content: bytes, media_type: str) -> None:
    assert _text(html, content, media_type) == "größe"


def test_html_that_is_broken_or_deep_or_empty_never_raises() -> None:
    contents = (b"<p>open <b", b"<div>" * 5000 + b"deep", b"\xff\xfe\xfd", b"", b"\x00<p>x", None)
    measured = _run(html, *contents, media_type="text/html")
    assert set(measured.faults) == {5}
    assert measured.arrays[0][1].as_py() == "deep"
