"""What a page becomes: each case a kind of page, with the lines that its reader sees."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from phloem.filters.page import page_text


def _text(page: str) -> str:
    return page_text(HTMLTree.parse(page))


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<ol start=12><li>a<ol type=a><li>b<li>c</ol><li>d</ol>",
         "  12. a\n    a. b\n    b. c\n  13. d"),
        ("<ol reversed><li>a<li>b<li value=10>c<li>d</ol>", "  4. a\n  3. b\n  10. c\n  9. d"),
        ("<ol reversed start=5><li>a<li>b</ol>", "  5. a\n  4. b"),
        ("<ol type=A start=26><li>a<li>b</ol>", "  Z. a\n  AA. b"),
        ("<ol type=i start=3999><li>a<li>b<li value=0>c</ol>",
         "  mmmcmxcix. a\n  4000. b\n  0. c"),
        ("<ol start=-1><li>a<li>b</ol>", "  -1. a\n  0. b"),
        ("<ol class='lowerroman simple' start=4><li>a</ol>", "  iv. a"),
        ("<ol style='list-style-type: upper-alpha'><li>a</ol>", "  A. a"),
        ("<ol><li>a<li type=a value=3>b<li>c</ol>", "  1. a\n  c. b\n  4. c"),
        ("<ul style='list-style: none'><li>a</ul>", "    a"),
        ("<ul><li>a<li><p>b<p>c</ul>d", "  • a\n\n  • b\n\n    c\n\nd"),
        ("<ul>\n <li>\n  <p>a\n</p></li></ul>", "  • a"),
        ("<ol><li><ol><li>a</ol><li>b</ol>", "  1.\n    1. a\n  2. b"),
        ("<ol><li>a</li><ol><li>b</ol><li>c</ol>", "  1. a\n    1. b\n  2. c"),
        ("<ul><li>a<br>b</ul>", "  • a\n    b"),
        ("<li>a", "• a"),
    ],
)  # fmt: skip
def test_lists_are_marked_as_they_say(page: str, text: str) -> None:
    assert _text(page) == text


CODE = 'for i in range(3):\n    if i:\n\n\tprint(i)  # "<&>"\nprint("end")'
WRITTEN = CODE.replace("&", "&amp;").replace("<", "&lt;")


@pytest.mark.parametrize(
    "around",
    [
        "<pre>%s</pre>",
        "<pre>\n%s\n</pre>",
        "<pre><code class=python>%s</code></pre>",
        "<ol><li><p>Write:<pre>%s</pre></li></ol>",
        "<ul><li><pre>%s</pre></ul>",
        "<ol><li>a<ol type=a><li>b<ul><li>c<pre>%s</pre>d</ul></ol></ol>",
        "<table><tr><td><pre>%s</pre></table>",
        "<table><tr><td>a<td><ul><li><pre>%s</pre></ul><td>b</table>",
        "<ul><li><table><tr><td><ol><li><pre>%s</pre></ol><td>b</table></ul>",
        "<table><tr><td class=linenos><pre>1\n2\n3</pre><td class=code><pre>%s</pre></table>",
        "<figure><pre>%s</pre><figcaption>Listing 1</figcaption></figure>",
        "<blockquote><dl><dt>a<dd><pre>%s</pre></dl></blockquote>",
        "<textarea>%s</textarea>",
        "<div style='color: red; white-space: pre'>%s</div>",
        "<div style='font-family: Menlo, monospace; white-space: pre-wrap'>%s</div>",
        "<pre><button>Copy</button>%s</pre>",
    ],
)
def test_code_keeps_its_lines_wherever_it_stands(around: str) -> None:
    text = _text(f"<p>Before.{around.replace('%s', WRITTEN)}<p>After.")
    assert f"\n{CODE}\n" in text
    assert text.startswith("Before.")
    assert text.endswith("After.")
    assert "Copy" not in text


@pytest.mark.parametrize(
    "marked",
    [
        "<pre><div>%s</div><div>%s</div><div>%s</div></pre>",
        "<pre><div>%s</div>\n<div>%s</div>\n<div>%s</div></pre>",
        "<pre>%s<br>%s<br>%s</pre>",
        "<pre><span class=line>%s</span>\n<span class=line>%s</span>\n<span>%s</span></pre>",
        "<pre><span class=linenos>1</span>%s\n<span class=linenos>2</span>%s\n%s</pre>",
        "<pre class=line-numbers><span>1</span>\n<span>2</span>\n3\n</pre><pre>%s\n%s\n%s\n</pre>",
        "<pre><table><tr><td class=hljs-ln-numbers>1<td>%s<tr><td>%s<tr><td>%s</table></pre>",
        (
            "<table class='highlight js-file-line-container'><tr><td class='blob-num' id=L1>"
            "<td class='blob-code'>%s<tr><td class='blob-num'><td class='blob-code'>%s"
            "<tr><td class='blob-num'><td class='blob-code'>%s</table>"
        ),
        (
            "<div class=fragment><div class=line><a></a><span class=lineno> 1</span>&#160;%s"
            "</div>\n<div class=line><span class=lineno> 2</span>&#160;%s</div>\n"
            "<div class=line><span class=lineno> 3</span>&#160;%s</div>\n</div>"
        ),
    ],
)
def test_code_of_marked_lines_keeps_them(marked: str) -> None:
    assert _text(marked % ("if x:", "  y()", "z")) == "if x:\n  y()\nz"
    assert _text(marked % ("if x:", "<i></i>&#160;", "z")).split() == ["if", "x:", "z"]


@pytest.mark.parametrize(
    "page",
    [
        "<div class=fragment>a<pre>b</pre>c</div><p>d",
        "<listing>a<pre>b</pre>c</listing><p>d",
        "<div style='white-space: pre'>a<table><tr><td><pre>b</pre></table>c</div><p>d",
    ],
)
def test_code_in_code_is_code(page: str) -> None:
    assert _text(page) == "a\nb\nc\n\nd"


def test_what_is_hidden_in_code_hides_nothing_else() -> None:
    code = "a<div hidden>b</div>c<div hidden role=tabpanel>d</div>e"
    assert _text(f"<div class=fragment>{code}</div><p>f") == "a\nc\nd\ne\n\nf"


def test_a_line_break_holds_no_code() -> None:
    assert _text("<p>a<br style='white-space: pre'>b<p>c") == "a\nb\n\nc"


def test_instructions_of_a_server_hide_nothing() -> None:
    assert _text("<?php start() ?><p>a<?php echo $x ?>b<p>c<p class=x>d") == "ab\n\nc\n\nd"


def test_cells_deep_within_each_other_are_read_as_blocks() -> None:
    table = "<table><tr><td>a<td>b</table>"
    assert _text("<table><tr><td>" * 99 + table) == "a\tb"
    assert _text("<table><tr><td>" * 100 + table) == "a b"


@pytest.mark.parametrize(
    "nested",
    [
        "<math><msup><mi>x</mi>",
        "<math><annotation encoding=TeX>x",
        "<div><math><msup><mi>x</mi><mi>2</mi></msup></math>",
        "<div><xmp></td></xmp>x",
        "<ol reversed><li>x",
        "<table><tr><td>x<td>",
        "<div class=fragment><pre><table><tr><td>x",
    ],
)
def test_a_page_is_read_however_deep_it_is(nested: str) -> None:
    assert _text(nested * 20_000 + "<p>end").rstrip().endswith("end")


@pytest.mark.parametrize(
    "page", ["<pre>1\n2</pre><p>x</p><pre>a\nb</pre>", "<pre>1\n2</pre><pre>a\nb\nc</pre>"]
)
def test_numbers_that_are_not_those_of_the_lines_behind_them_stay(page: str) -> None:
    assert _text(page).startswith("1\n2\n\n")


@pytest.mark.parametrize(
    ("code", "read"),
    [
        (  # mdBook
            "<span class=boring>fn main() {\n</span>x();\n<span class=boring>}</span>",
            "x();",
        ),
        (  # Sphinx
            "<div id=f><a class=viewcode-back href=x>[docs]</a><span>def</span> f(): 1</div>",
            "def f(): 1",
        ),
        (  # Doxygen
            "<div class=line>f();</div><div class=ttc><div class=ttname>f</div> g.h:1</div>",
            "f();",
        ),
        (  # Haddock
            "<span class=annot><span class=annottext>Int\n</span><a href=x>f</a></span> = 1",
            "f = 1",
        ),
    ],
)
def test_what_a_generator_folds_away_in_code_is_not_read(code: str, read: str) -> None:
    assert _text(f"<pre>{code}</pre>") == read


@pytest.mark.parametrize("blank", [" ", "&#160;", "    "])
def test_an_empty_line_of_marked_code_is_empty(blank: str) -> None:
    lines = "".join(f"<div class=line>{line}</div>\n" for line in ("a", blank, "  b"))
    assert _text(f"<div class=fragment>{lines}</div>") == "a\n\n  b"


def test_code_that_is_indented_by_blanks_that_do_not_break_stays_so() -> None:
    lines = "<div>a:</div><div>&nbsp;&nbsp;b</div><div>&nbsp;&nbsp;c</div>"
    assert _text(f"<div style='white-space: pre'>{lines}</div>") == "a:\n  b\n  c"


def test_cells_that_span_a_million_others_take_little() -> None:
    rows = "<tr><td rowspan=9999 colspan=9999>a<td colspan=9999>b" * 2000
    assert len(_text(f"<table>{rows}</table>")) < 4 * len(rows)


def test_blanks_that_do_not_break_are_blanks_in_code() -> None:
    assert _text("<pre>a<br>&nbsp;&nbsp;b<sup>2</sup></pre>") == "a\n  b^2"


def test_an_empty_line_of_code_stays() -> None:
    page = "".join(
        f"<div class=line><span class=lineno> {i}</span>&#160;{line}</div>\n"
        for i, line in enumerate(("a", "", "  b"))
    )
    assert _text(f"<div class=fragment>{page}</div>") == "a\n\n  b"


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("<tr><td><p>Oslo</p></td><td><p>12</p></td></tr><tr><td><p>Bergen<td><p>31",
         "Oslo\t12\nBergen\t31"),
        ("<caption>C</caption><thead><tr><th>a<th>b</thead><tr><td>1<td>2<tfoot><tr><td>3<td>4",
         "C\na\tb\n1\t2\n3\t4"),
        ("<tr><th><th>A<th>B<tr><td>r<td><td>2<tr><td colspan=3>only", "\tA\tB\nr\t\t2\nonly"),
        ("<tr><td>Norway<td>Oslo<tr><td><td>Bergen<tr><td>Sweden<td>Lund",
         "Norway\tOslo\n\tBergen\nSweden\tLund"),
        ("<tr><td>a<td>&nbsp;<td>b<tr><td>&nbsp;<td>&nbsp; <td>c<tr><td>&nbsp;<td>&nbsp;",
         "a\t\tb\n\t\tc"),
        ("<tr><td><td>first<tr><td>a<td>b", "first\na\tb"),
        ("<tr><td rowspan=2>Oslo<td>1900<td>1<tr><td>1910<td>2<tr><td>Bergen<td>1900<td>3",
         "Oslo\t1900\t1\n\t1910\t2\nBergen\t1900\t3"),
        ("<tr><td>a<td rowspan=2>b<td>c<tr><td>d<td>e", "a\tb\tc\nd\t\te"),
        ("<tr><th colspan=2>Name<th>Age<tr><td>A<td>B<td>3", "Name\t\tAge\nA\tB\t3"),
        ("<tr><td rowspan=2>a<td>b<tr><td>only<tr><td>c<td>d", "a\tb\n\tonly\nc\td"),
        ("<tbody><tr><td rowspan=9>a<td>b<tbody><tr><td>c<td>d", "a\tb\nc\td"),
        ("<tr><td rowspan=9><img><td>b<tr><td>c<td>d", "b\nc\td"),
        ("<tr><td colspan=0 rowspan=x>a<td>b<tr><td>c<td>d", "a\tb\nc\td"),
        ("<tr><td>Oslo<br>Norway<td>12", "Oslo Norway\t12"),
        ("<tr><td><p>a<p>b<td><ul><li>c<li>d</ul>", "a b\t• c • d"),
        ("<tr>\n  <td>\n a\n </td>\n  <td>b</td>\n</tr>\n", "a\tb"),
        ("<tr><td><pre>one</pre><td>two", "one\ttwo"),
        ("<tr><td>a<table><tr><td>1<td>2<tr><td>3<td>4</table><td>b", "a\n\n1\t2\n3\t4\n\nb"),
        ("<tr><td><h2>News</h2><p>a<p>b<td>side", "News\n\na\n\nb\n\nside"),
        (f"<tr><td><p>{'x ' * 200}<p>y<td>z", f"{'x ' * 199}x\n\ny\n\nz"),
        ("<tr><td><ol start=3><li>a<li>b</ol><td>c", "3. a 4. b\tc"),
    ],
)  # fmt: skip
def test_a_row_is_a_line_unless_it_lays_out_a_page(table: str, text: str) -> None:
    assert _text(f"<table>{table}</table>").replace("  ", "") == text.replace("  ", "")


def test_a_row_in_a_list_has_its_items_marker() -> None:
    assert _text("<ol><li><table><tr><td>a<td>b<tr><td>c<td>d</table></ol>") == (
        "  1. a\tb\n    c\td"
    )


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("2<sup>29</sup>", "2^29"),
        ("<b>2</b><sup><a href=x>29</a></sup>", "2^29"),
        ("10<sup>−6</sup> 10<sup>-6</sup>", "10^−6 10^-6"),
        ("x<sup>n</sup> 2<sup>n</sup>", "x^n 2^n"),
        ("2<sup>n+1</sup> x<sup>1/2</sup>", "2^(n+1) x^(1/2)"),
        ("2<sup>2<sup>3</sup></sup>", "2^2^3"),
        ("(1+r)<sup>2</sup>", "(1+r)^2"),
        ("H<sub>2</sub>O CO<sub>2</sub>", "H2O CO2"),
        ("x<sub>1</sub><sup>2</sup>", "x1^2"),
        ("x<sub>1</sub>2", "x1 2"),
        ("Ca<sup>2+</sup> Na<sup>+</sup>", "Ca^2+ Na+"),
        ("<sup>13</sup>C", "13C"),
        ("a<sup></sup>b 1<sub><b></b></sub>2", "ab 12"),
        ("a <sup>2</sup> 5&nbsp;<sup>2</sup>", "a 2 5\xa02"),
        ("in 1990.<sup>12</sup> word<sup>1</sup>", "in 1990.^12 word^1"),
        ("word<sup>[1]</sup>", "word[1]"),
        ("1<sup>st</sup> 22<sup>nd</sup> XX<sup>e</sup> M<sup>me</sup> Foo<sup>TM</sup>",
         "1st 22nd XXe Mme FooTM"),
        ("3<sup>1</sup>/<sub>2</sub> and <sup>1</sup>/<sub>2</sub>", "3 1/2 and 1/2"),
        ("<pre>x = 2<sup>29</sup>;\n  y<sub>0</sub></pre>", "x = 2^29;\n  y0"),
        ("<table><tr><td>10<sup>3</sup><td>m<sup>2</sup></table>", "10^3\tm^2"),
        ("10<span style='Vertical-Align : Super'>6</span> <span style='vertical-align:middle'>2",
         "10^6 2"),
        ("1<font style='font-size:8pt;vertical-align:sub'>2</font>", "1_2"),
        ("10<span class='sub-title' style='color:red'>6</span>", "106"),
        ("10<span class=superscript><b>6</b></span> 10<span class=subscript>2</span>", "10^6 10_2"),
        ("<del>10</del><ins>20</ins> un<s>d</s>o 1<strike>2</strike>3", "10 20 undo 1 2 3"),
    ],
)  # fmt: skip
def test_raised_digits_are_not_glued(page: str, text: str) -> None:
    assert _text(f"<p>{page}").strip() == text


TEX = '<annotation encoding="application/x-tex">%s</annotation>'
WIKI = r"{\displaystyle x^2}"
MATHML = "<msup><mi>x</mi><mn>2</mn></msup>"


@pytest.mark.parametrize(
    "formula",
    [
        f"<math><semantics><mrow>{MATHML}</mrow>{TEX % 'x^2'}</semantics></math>",
        (f'<span class=katex><span class=katex-mathml><math><semantics>{MATHML}{TEX % "x^2"}'
        '</semantics></math></span><span class=katex-html aria-hidden=true>x2</span></span>'),
        ('<span class=MathJax_Preview>x2</span><span class=MathJax><nobr aria-hidden=true>x2</nobr>'
        f'<span class=MJX_Assistive_MathML><math>{MATHML}</math></span></span>'
        '<script type="math/tex">x^2</script>'),
        '<span class=MathJax_Preview></span><script type="math/tex">x^2</script>',
        ("<mjx-container><svg><text>x2</text></svg><mjx-assistive-mml><math><semantics>"
        f"{MATHML}{TEX % 'x^2'}</semantics></math></mjx-assistive-mml></mjx-container>"),
        ('<span class=mwe-math-element><span class="mwe-math-mathml-inline" style="display: none">'
        f"<math alttext='{WIKI}'><semantics>{MATHML}{TEX % WIKI}"
        '</semantics></math></span><img class=mwe-math-fallback-image-inline alt="x^2"></span>'),
        f'<math alttext="x^2">{MATHML}</math>',
        *(f"<img class={kind} alt='x^2'>" for kind in ("math", "tex", "latex")),
        "<img class=formulaInl alt='$x^2$'>",
        r"<img alt='\(x^2\)'>",
    ],
)  # fmt: skip
def test_a_formula_stands_there_once_as_tex(formula: str) -> None:
    assert _text(f"<p>Let {formula} be.") == "Let $x^2$ be."


def test_a_picture_of_a_formula_stands_apart_as_the_page_has_it() -> None:
    assert _text("<p>So<div class=math><p><img src=a.png alt='E = m'></div>") == "So\n\n$$E = m$$"
    assert _text(r"<p><img class=formulaDsp alt='\[ a = b \]'>") == "$$a = b$$"
    assert _text(r"<p>Is <img alt='\frac{1}{2}'> of") == r"Is $\frac{1}{2}$ of"
    assert _text(r"<p>In <img alt='\\host\share'><img alt='\temp\x'> it") == "In it"
    assert _text("<p>Costs <img alt='$5 bill'> and <img class=tex alt=''>more") == "Costs and more"


@pytest.mark.parametrize(
    ("mathml", "text"),
    [
        ("<msup><mn>2</mn><mn>29</mn></msup>", "2^{29}"),
        ("<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup>", "x_1^2"),
        ("<mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2</mn></mfrac>", r"\frac{a+b}{2}"),
        ("<munderover><mo>∑</mo><mn>0</mn><mi>n</mi></munderover>", "∑_0^n"),
        (
            "<mroot><mi>x</mi><mn>3</mn></mroot><msqrt><mi>a</mi><mi>b</mi></msqrt>",
            r"\sqrt[3]{x}\sqrt{ab}",
        ),
        (
            "<mtable><mtr><mtd>1</mtd><mtd>2</mtd></mtr><mtr><mtd>3</mtd><mtd>4</mtd></mtr></mtable>",
            r"\begin{matrix}1 & 2 \\ 3 & 4\end{matrix}",
        ),
        (
            "<mmultiscripts><mi>C</mi><mprescripts/><mn>6</mn><mn>14</mn></mmultiscripts>",
            "{}_6^{14}C",
        ),
        ("<mfenced open='[' separators=';'><mi>x</mi>\n<mi>y</mi></mfenced>", "[x;y)"),
        ("<mi>sin</mi><mo>\u2061</mo><mi> x </mi><mphantom><mn>5</mn></mphantom>", r"\sin x"),
        ("<mtext>if <math><mi>x</mi></math> is</mtext>", "if $x$ is"),
    ],
)
def test_a_formula_without_tex_is_written_as_tex(mathml: str, text: str) -> None:
    assert _text(f"<p>Let <math>{mathml}</math> be.") == f"Let ${text}$ be."


@pytest.mark.parametrize(
    "hidden",
    [
        "<span hidden>H</span>",
        "<div hidden><p>H<div>H</div></div>",
        "<span style='display:none'>H</span>",
        "<p style='color: red; DISPLAY : None ;'>H</p>",
        "<i style='visibility:hidden'>H</i>",
        "<span class='x visually-hidden'>H</span>",
        "<span class=sr-only>H<span>H</span></span>",
        "<a class=anchor aria-hidden=true href=x>H</a>",
        "<div role=navigation>H</div>",
        "<div id=menu-bar><h1>H</h1></div>",
        "<div id=hd><h1>H</h1></div>",
        "<ul role=menu><li>H</ul>",
        "<nav><nav>H</nav>H</nav>",
        "<footer>H</footer>",
        "<div class=navheader><script>'</div>'</script>H</div>",
        "<dialog>H</dialog>",
        "<canvas>H</canvas>",
        "<div popover>H</div>",
        "<i class=material-icons aria-hidden=true>H</i>",
        "<datalist><option>H</datalist>",
        "<button class='btn copy-button'>H</button>",
        "<form><button>H</button></form>",
        "<!-- > H -->",
        "<!-- <p>H --->",
        "<script>if (a < b) '<p>H</p>'</script>",
        "<style>p > a { content: '</p>H' }</style>",
        "<img hidden alt=H>",
        "<div class=toc><p><b>H</b><dl><dt><a href=#x>H</a></dl></div>",
        "<details id=toc open><summary>H</summary><ul><li><a href=#x>H</a></ul></details>",
        "<div class='contents topic' id=contents><p class=topic-title>H<ul><li>H</ul></div>",
        "<div><p>Next: <a href=x rel=next>H</a>, Up: <a href=y rel=up>H</a> [<a>H</a>]</div>",
        "<center><a rel='prev bookmark' href=x>H</a> | <a rel=next href=y>H</a></center>",
        "<ul><li><a class='nav-buffer active' href=x>H</a><li><a class=nav-link href=y>H</a></ul>",
        "<div class=nav><a href=x>H</a></div>",
        "<a class=skip-link href=#x>H</a>",
    ],
)
def test_what_is_not_shown_is_left_out(hidden: str) -> None:
    assert _text(f"<p>a</p>{hidden}<p>b</p>") == "a\n\nb"


@pytest.mark.parametrize(
    "shown",
    [
        "<article>a<footer>T</footer></article>",
        "<blockquote>a<footer>— <cite>T</cite></footer></blockquote>",
        "<div hidden=until-found>T</div>",
        "<div role=tabpanel hidden>T</div>",
        "<span aria-hidden=true>T</span>",
        "<p>Press <button>T</button>.",
        "<h3><button aria-expanded=false>T</button></h3>",
        "<label>T</label>",
        "<textarea>T</textarea>",
        "<dialog open>T</dialog>",
        "<details><summary>s</summary>T</details>",
        "<xmp>T</xmp>",
        "<listing>T</listing>",
        "<span title='display:none' data-x='sr-only'>T</span>",
        "<br hidden>T",
        "<input style='display:none'>T",
        "<table><tr><td hidden>x<td>T</table>",
        "<html style='visibility: hidden'><body style='display:none'>T",
        "<p foo\"bar=1 a<b c='d\"e>f'>T",
        '<a"b>T</a"b>',
        "<p>x<plaintext>T",
        "<svg><p>T",
        "<table>T<tr><td>x</table>",
        "<p></div></span>T",
        "<b><p>x</b>T",
        "<div class=contents>T</div>",
        "<div class=topic>T</div>",
        "<p>What came before is told in <a rel=prev href=x>the first part</a> of this T.",
        "<div>T, which stands beside it, and is read as what stands around.<a rel=next>x</a></div>",
        "<p class=nav-x>T</p>",
        "<a class=bignav-x>T</a>",
    ],
)
def test_what_is_shown_stays(shown: str) -> None:
    assert "T" in _text(f"<p>a</p>{shown}")


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>one <span> two</span> <b> three </b>four\n\tfive</p>", "one two three four five"),
        ("<p>a&amp;nbsp;&lt;b&gt; &amp;amp; c&nbsp;d", "a&nbsp;<b> &amp; c\xa0d"),
        ("a<br>b<br><br>c <br> d", "a\nb\n\nc\nd"),
        ("<p>he said <q>so</q>", "he said “so”"),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby><ruby>字<rt>ji</ruby>", "漢(kan)字(ji)"),
        ("<label>a</label><label>b</label>", "a b"),
        ("<dl><dt>a<dd>b<dt>c<dd><p>d</dl>", "a\nb\nc\n\nd"),
        ("<div>a</div><div>b</div><h1>c</h1>d<hr>e", "a\nb\n\nc\n\nd\n\ne"),
        ("<p>a\0b", "ab"),
    ],
)
def test_blanks_and_lines_are_as_a_browser_shows_them(page: str, text: str) -> None:
    assert _text(page) == text


@pytest.mark.parametrize(
    "deep",
    "<div> <span> <b> <ul><li> <ol><li> <ol_reversed><li> <table><tr><td> <blockquote> <sup> <q>"
    " <article> <section> <footer> <dl><dd> <math><mfrac>".split(),
)
def test_ten_thousand_elements_within_each_other_are_read(deep: str) -> None:
    assert len(_text(deep.replace("_", " ") * 10_000 + "deep")) < 1_000_000


TAGS = "p div pre ul ol li table tr td sup sub b span br nav button script svg math textarea q h1"
PIECES = st.one_of(
    st.sampled_from([f"<{tag}>" for tag in TAGS.split()] + [f"</{tag}>" for tag in TAGS.split()]),
    st.sampled_from(["<span hidden>", "<div class=fragment>", "<ol reversed>", "<!--", "-->", "<"]),
    st.sampled_from([" ", "\n", "2", "x", "&nbsp;", "&lt;", "漢", "\0", "\t "]),
)


@given(st.lists(PIECES, max_size=40).map("".join))
def test_any_page_is_read_without_tags_or_marks(page: str) -> None:
    text = _text(page)
    assert "\0" not in text
    assert not re.search(r"</?(?:pre|div|td|li|sup)>", text)


WORDS = st.lists(st.text("abzé漢 \n", max_size=6), max_size=12)


@given(WORDS)
def test_paragraphs_are_their_words(words: list[str]) -> None:
    page = "".join(f"<p><b>{word}</b>" for word in words)
    assert _text(page) == "\n\n".join(" ".join(word.split()) for word in words if word.strip())
