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
        (b"\x93caf\xe9\x94", "text/plain; charset='iso-8859-1'", "“café”"),
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


@pytest.mark.parametrize(
    "name", ["no-such-charset", "base64", "zip", "rot13", "utf-7", "unicode_escape"]
)
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


def test_html_reads_formulas_whose_elements_have_the_prefix_of_xml() -> None:
    power = "<m:msup><m:mi>x</m:mi><m:mn>2</m:mn></m:msup>"
    formula = f"<m:math xmlns:m='http://www.w3.org/1998/Math/MathML'>{power}</m:math>"
    for media_type in ("text/html", "application/xhtml+xml"):
        assert _text(html, f"<p>Let {formula} be.</p>".encode(), media_type) == "Let $x^2$ be."


FIGURE = """<p>Before.</p>
<figure class="listing"><figcaption>Listing <b>1</b></figcaption><pre>def f(x):
    if x:

        return x + 1
</pre></figure>
<figure><img src="x" alt="an alternative"><figcaption>Fig. 2: a tree</figcaption></figure>
<figure><figure><table><tr><th>Town<th>Mm<tr><td>Accra<td>730</table></figure>
<figure><blockquote>To be.</blockquote><figcaption>Hamlet</figcaption></figure></figure>
<ul><li>item<figure><pre>code</pre></figure></li></ul>
<figure>bare text</figure><p>After.</p>"""


@pytest.mark.parametrize(("main_content", "tab"), [(False, "\t"), (True, "\t\t")])
def test_html_keeps_what_a_figure_holds_in_its_order(main_content: bool, tab: str) -> None:
    page = f"<main><div><div><div>{FIGURE}</div></div></div></main>".encode()
    text = _text(html.bind({"main_content": main_content}), page, "text/html; charset=utf-8")
    parts = (
        "Before.\n\nListing 1\n",
        "def f(x):\n    if x:\n\n        return x + 1\n",
        "Fig. 2: a tree\n",
        f"Town{tab}Mm\nAccra{tab}730\n",
        "To be.",
        "Hamlet\n",
        "item",
        "code",
        "bare text\n\nAfter.",
    )
    places = [text.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)
    assert "alternative" not in text


SHOWN = """<address>T</address> <article>T</article> <aside>T</aside> <blockquote>T</blockquote>
<center>T</center> <dl><dt>T</dt></dl> <dl><dd>T</dd></dl> <details>T</details>
<details><summary>T</summary></details> <dialog open=x>T</dialog> <fieldset>T</fieldset>
<fieldset><legend>T</legend></fieldset> <figure>T</figure> <figcaption>T</figcaption>
<form>T</form> <header>T</header> <hgroup>T</hgroup> <math><mi>T</mi></math> <menu>T</menu>
<output>T</output> <picture>T</picture> <ruby>T<rt>r</rt></ruby> <samp>T</samp> <section>T</section>
<sub>T</sub> <sup>T</sup> <table><caption>T</caption></table> <table><tfoot><tr><td>T</table>
<time>T</time> <my-element>T</my-element>"""


@pytest.mark.parametrize("shown", SHOWN.replace("> <", ">\n<").split("\n"))
def test_html_keeps_what_a_reader_sees(shown: str) -> None:
    page = f"<p>a</p>{shown.replace('T', 'TEXT')}<p>b</p>"
    assert "TEXT" in _text(html, page.encode(), "text/html")


@pytest.mark.parametrize(
    "hidden",
    [
        "<img alt=TEXT title=TEXT>",
        "<picture><source><img alt=TEXT></picture>",
        "<map><area alt=TEXT></map>",
        "<input type=image alt=TEXT value=TEXT>",
        "<svg><title>TEXT</title><text>TEXT</text></svg>",
        "<object data=x>TEXT</object>",
        "<embed alt=TEXT>",
        "<video src=x>TEXT</video>",
        "<audio src=x>TEXT</audio>",
        "<iframe>TEXT</iframe>",
        "<noscript>TEXT</noscript>",
        "<template>TEXT</template>",
        "<title>TEXT</title>",
        "<select><option>TEXT</select>",
        "<nav>TEXT</nav>",
        "<div class=navfooter>TEXT</div>",
    ],
)
def test_html_figure_lets_in_nothing_that_is_left_out_elsewhere(hidden: str) -> None:
    for page in (f"<p>a</p>{hidden}<p>b</p>", f"<p>a</p><figure>{hidden}</figure><p>b</p>"):
        assert _text(html, page.encode(), "text/html") == "a\n\nb"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<head><title/><script src='x'/></head><body><p>a<br/>b</p></body>", "a\nb"),
        ("<body><a id='x'/><b>c</b><div class='y'/><p>d</p></body>", "c\n\nd"),
        ("<body><pre><![CDATA[if (a<b) & c]]></pre><p>x<br></br>y</p></body>",
         "if (a<b) & c\n\nx\ny"),
        ("<body><!-- <p/> --><p title='a/>b'>x</p></body>", "x"),
    ],
)  # fmt: skip
def test_a_page_of_xml_is_read_as_xml_closes_its_elements(body: str, text: str) -> None:
    page = f"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'>{body}</html>"
    assert _text(html, page.encode(), "application/xhtml+xml; charset=utf-8").strip() == text


def test_html_that_is_broken_or_deep_or_empty_never_raises() -> None:
    contents = (b"<p>open <b", b"<div>" * 5000 + b"deep", b"\xff\xfe\xfd", b"", b"\x00<p>x", None)
    measured = _run(html, *contents, media_type="text/html")
    assert set(measured.faults) == {5}
    assert measured.arrays[0][1].as_py() == "deep"
