from __future__ import annotations

import pyarrow as pa
import pytest

from phloem.filters.extract_jats import jats
from phloem.filters.op import Measured


def _run(*contents: bytes | None) -> Measured:
    rows = pa.array(list(contents), pa.binary())
    kinds = ["application/jats+xml"] * len(contents)
    return jats(pa.record_batch({"content": rows, "media_type": kinds}))


def _body(inner: str, encoding: str = "utf-8") -> bytes:
    head = f'<?xml version="1.0" encoding="{encoding}"?>\n'
    return f"{head}<article><body>{inner}</body></article>".encode(encoding)


def _text(content: bytes) -> str:
    measured = _run(content)
    assert not measured.faults
    return str(measured.arrays[0][0].as_py())


ARTICLE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) 1.3//EN" "JATS-archivearticle1-3.dtd">
<article xmlns:mml="http://www.w3.org/1998/Math/MathML" article-type="research-article">
<front><journal-meta><journal-title>Revista</journal-title></journal-meta><article-meta>
<title-group><article-title>La salud en <italic>América</italic><xref ref-type="fn">*</xref>
</article-title><subtitle>Un estudio</subtitle>
<trans-title-group><trans-title>Health</trans-title></trans-title-group></title-group>
<contrib-group><contrib><name><surname>Pérez</surname></name></contrib></contrib-group>
<abstract><title>Resumen</title><p>Breve&nbsp;texto.</p></abstract>
<kwd-group><kwd>salud</kwd></kwd-group></article-meta></front>
<body><sec><label>1.</label><title>Métodos</title>
<p>Como otros [<xref ref-type="bibr">1</xref>,<xref ref-type="bibr">3</xref>–<xref
ref-type="bibr">5</xref>] y según <xref ref-type="bibr">López (2001)</xref>, H<sub>2</sub>O
<inline-formula><mml:math><mml:mi>x</mml:mi></mml:math></inline-formula> (<xref
ref-type="fig">Fig. 1</xref>).</p>
<fig><label>Fig</label><caption><p>Leyenda</p></caption></fig>
<table-wrap><table><tr><td>9</td></tr></table></table-wrap>
<list><list-item><p>uno</p></list-item><list-item><p>dos</p></list-item></list>
<disp-quote><p>Cita.</p></disp-quote>
<code>if x:
    y()</code></sec></body>
<back><ack><p>Gracias</p></ack><ref-list><ref><article-title>Otro</article-title></ref></ref-list>
</back><sub-article><body><p>Review</p></body></sub-article></article>
"""


def test_jats_keeps_titles_paragraphs_lists_and_code() -> None:
    assert _text(ARTICLE.encode()) == (
        "La salud en América\n\nUn estudio\n\nResumen\n\nBreve texto.\n\nMétodos\n\n"
        "Como otros y según López (2001), H2O $x$ (Fig. 1).\n\n• uno\n\n• dos\n\nCita.\n\n"
        "if x:\n    y()"
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_jats_reads_the_encoding_that_it_declares(encoding: str) -> None:
    assert _text(_body("<p>größe</p>", encoding)) == "größe"


@pytest.mark.parametrize("text", ["研究 の 方法", "अध्ययन", "การศึกษา", "دراسة", "🌍", ""])
def test_jats_reads_every_script(text: str) -> None:
    assert _text(_body(f"<p>{text}</p>")) == text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<article><body><p>cut", "cannot be parsed as XML (line 1)"),
        (b"<a>\n<b></a>", "cannot be parsed as XML (line 2)"),
        (b"<a>\xff</a>", "cannot be parsed as XML (line 1)"),
        (b'<?xml version="1.0" encoding="x-none"?><a/>', "cannot be parsed as XML (line 1)"),
        (b"", "cannot be parsed as XML (line 1)"),
        (b'<!DOCTYPE a [<!ENTITY b "bb">]><a>&b;</a>', "XML with declarations of its own"),
        (
            b'<!DOCTYPE a [<!ENTITY b SYSTEM "/etc/hostname">]><a/>',
            "XML with declarations of its own",
        ),
    ],
)
def test_jats_that_is_broken_or_hostile_is_a_fault(content: bytes, reason: str) -> None:
    measured = _run(content, _body("<p>fine</p>"))
    assert measured.arrays[0].to_pylist() == [None, "fine"]
    assert measured.faults == {0: reason}


def test_jats_nested_deep_or_in_one_line_is_read() -> None:
    deep = _body("<sec>" * 20_000 + "<p>deep</p>" + "</sec>" * 20_000)
    long = _body(f"<p>{'word ' * 400_000}</p>")
    measured = _run(deep, long)
    assert not measured.faults
    assert measured.arrays[0][0].as_py() == "deep"
    assert len(measured.arrays[0][1].as_py()) == 5 * 400_000 - 1


MML = 'xmlns:m="http://www.w3.org/1998/Math/MathML"'
BESIDE = f"""a <inline-formula><alternatives><tex-math>\\documentclass{{minimal}}
\\begin{{document}}$$a+b$$\\end{{document}}</tex-math><m:math {MML}><m:mi>a</m:mi></m:math>
<graphic/></alternatives></inline-formula> b"""
FRACTION = f"""<m:math {MML}><m:mfrac><m:mrow><m:mi>a</m:mi><m:mo>+</m:mo><m:mi>b</m:mi></m:mrow>
<m:msqrt><m:mi>c</m:mi></m:msqrt></m:mfrac></m:math> of"""


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("10<sup>6</sup> cells, 10<sup>-5</sup> M, m<sup>2</sup>", "10^6 cells, 10^-5 M, m^2"),
        ("H<sub>2</sub>O, 10<sub>2</sub>, <italic>v</italic><sub>max</sub>", "H2O, 10_2, v_max"),
        ("the 4<sup>th</sup> <sup>14</sup>C, SO<sub>4</sub><sup>2−</sup>", "the 4th 14C, SO4^2−"),
        (
            "shown<sup><xref ref-type='bibr'>1</xref>,<xref ref-type='bibr'>2</xref></sup>.",
            "shown.",
        ),
        ("in 2019<xref ref-type='bibr'><sup>5</sup></xref>, 7", "in 2019, 7"),
        ("in <xref ref-type='fig'>Fig. 2<sup>a</sup></xref> too", "in Fig. 2^a too"),
    ],
)
def test_jats_joins_no_number_to_what_is_above_or_below_it(inner: str, text: str) -> None:
    assert _text(_body(f"<p>{inner}</p>")) == text


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("Let <inline-formula><tex-math>$x$</tex-math></inline-formula> be", "Let $x$ be"),
        (BESIDE, "a $a+b$ b"),
        (
            f"<m:math {MML}><m:msup><m:mn>10</m:mn><m:mn>6</m:mn></m:msup></m:math> of",
            "$10^6$ of",
        ),
        ("<inline-formula><italic>x</italic> = 10<sup>-6</sup></inline-formula>", "$x = 10^{-6}$"),
        (FRACTION, "$\\frac{a+b}{\\sqrt{c}}$ of"),
        (
            "so<disp-formula><label>(1)</label><graphic/></disp-formula>holds",
            "so $…$ holds",
        ),
    ],
)
def test_jats_keeps_a_formula_once_or_says_that_there_was_one(inner: str, text: str) -> None:
    assert _text(_body(f"<p>{inner}</p>")) == text


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        (("<list list-type='order'><list-item><p>a</p></list-item><list-item><p>b</p><p>c</p>"
         "</list-item></list>"), "1. a\n\n2. b\n\nc"),
        (("<list list-type='roman-upper'><list-item><p>a</p><list><list-item><p>b</p></list-item>"
         "</list></list-item><list-item><p>c</p></list-item></list>"), "I. a\n\n• b\n\nII. c"),
        (("<list list-type='order'><list-item><label>12.</label><p>a</p></list-item><list-item>"
         "<label>(b)</label><p>b</p></list-item><list-item><p>c</p></list-item></list>"),
         "12. a\n\n(b) b\n\n3. c"),
        (("<fig><list><list-item><label>9</label><p>no</p></list-item></list></fig><p>yes</p>"),
         "yes"),
        (("<array><tbody><tr><td>1</td><td>2</td></tr><tr><td>3</td><td>4</td></tr></tbody>"
         "</array>"), "1 2\n\n3 4"),
        ("<list list-type='simple'><list-item><p>a</p></list-item></list>", "a"),
        ("<boxed-text><caption><title>Box</title></caption><p>a</p></boxed-text>", "Box\n\na"),
        ("<p>See<fn><p>note</p></fn> more<xref ref-type='fn'>1</xref>.</p>", "See more."),
        (("<p>5<xref ref-type='table-fn'><sup>a</sup></xref> of <fig><caption><p>no</p></caption>"
         "</fig>six</p>"), "5 of six"),
        (("<p>López <xref ref-type='bibr'>2001</xref>, <xref ref-type='bibr'>2001b</xref> and"
         " [<xref ref-type='bibr'>12</xref>].</p>"), "López 2001, 2001b and."),
        ("<sec><sec-meta><contrib>no</contrib></sec-meta><title>t</title></sec>", "t"),
        ("<p>a</p><disp-formula><tex-math>b</tex-math></disp-formula>", "a\n\n$b$"),
    ],
)  # fmt: skip
def test_jats_keeps_what_is_read_from_end_to_end(inner: str, text: str) -> None:
    assert _text(f"<article><body>{inner}</body></article>".encode()) == text
