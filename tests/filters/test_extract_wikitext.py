from __future__ import annotations

import time

import pyarrow as pa
import pytest

from phloem.filters.extract_wikitext import MAX_BYTES, wikitext
from phloem.filters.op import Measured


def _run(*contents: bytes | None, media_type: str = "text/x-wiki") -> Measured:
    rows = pa.array(list(contents), pa.binary())
    return wikitext(pa.record_batch({"content": rows, "media_type": [media_type] * len(contents)}))


def _text(source: str, media_type: str = "text/x-wiki") -> str:
    measured = _run(source.encode(), media_type=media_type)
    assert not measured.faults
    return str(measured.arrays[0][0].as_py())


PAGE = """{{Infobox mji
| jina = Mwanza
| picha = [[Picha:A.jpg]]
}}
'''Mwanza''' ([[Kiingereza|eng.]]: {{IPA|x}}) ni [[jiji]] la [[Tanzania|nchi ya ''Tanzania'']].<ref
name="a">Kitabu, uk. 3</ref> Lina watu 706,543.{{fact}}<!-- angalia -->

Mto ''Mara'' unaingia<ref name="a" /> ziwani.
[[Picha:Ziwa.jpg|thumb|250px|Ziwa la [[Viktoria]]]]

== Historia ==
=== Kale ===
{| class="wikitable"
! Mwaka !! Watu
|-
| 1900 || {{formatnum:500}}
|}
=== Karne ya 20 ===
* Reli [http://example.org ilijengwa]
** hadi [http://example.org/2]
# mwaka ''1928''
; Neno : maana yake

<syntaxhighlight lang="python">
def f(x):
    return  x
</syntaxhighlight>

== Marejeo ==
<references />
{{commons}}

[[Jamii:Miji ya Tanzania]]
[[en:Mwanza]]
__NOTOC__
"""


def test_wikitext_keeps_headings_paragraphs_lists_and_code() -> None:
    assert _text(PAGE, 'text/x-wiki; files="Picha|Jamii"') == (
        "Mwanza ni jiji la nchi ya Tanzania. Lina watu 706,543.\n\n"
        "Mto Mara unaingia ziwani.\n\n"
        "Historia\n\n"
        "Karne ya 20\n\n"
        "• Reli ilijengwa\n• hadi\n• mwaka 1928\nNeno\nmaana yake\n\n"
        "def f(x):\n    return  x"
    )


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("हिन्दी [[भारत|भारत की]] भाषा है।", "हिन्दी भारत की भाषा है।"),
        ("ภาษาไทย<br />บรรทัด", "ภาษาไทย\nบรรทัด"),
        ("漢字（{{lang|ja|かんじ}}）[[:Category:漢字]]", "漢字（かんじ）Category:漢字"),
        ("عربي [[ملف:أ.jpg|تصغير|200px|شرح]] نص", "عربي نص"),
        ("a &ndash; b &#x1F30D; &nosuch; &#xD800;", "a – b 🌍 &nosuch;"),
        ("<nowiki>[[a]]</nowiki> <math>x^2</math>", "[[a]] $x^2$"),
        ("<poem>\nRosa\nfresca\n</poem>", "Rosa\nfresca"),
        ("born ({{date|1}}; {{age}}) or (, 1900)", "born or (1900)"),
        ("see [[#Top|above]] and [[fr:Titre]] [[wikt:mot|mot]]", "see above and mot"),
        ("<div>\n<p>one</p><p>two</p>\n</div>", "one\n\ntwo"),
        ("{{c|{{larger|TITRE}}}}\n{{unknown|text}}", "TITRE"),
        ("'''''never closed\n{| open\n| cell\nafter", "never closed\nafter"),
        ("a<ref>''Open</ref> b <ref>'''x''</ref>c", "a b c"),
        ("l'''Iliade'' et L''''Odyssée'''", "l'Iliade et L'Odyssée"),
        ("'''''both'' bold''' don't rock'n'roll", "both bold don't rock'n'roll"),
        ("== Only ==\n=== A heading ===\n", ""),
        ("", ""),
    ],
)
def test_wikitext_shows_what_a_reader_sees(source: str, text: str) -> None:
    assert _text(source) == text


def test_wikitext_files_have_the_names_that_the_wiki_gives_them() -> None:
    link = "Ndiyo [[Picha:A.jpg|maelezo]]"
    assert _text(link) == "Ndiyo maelezo"
    assert _text(link, 'text/x-wiki; files="Picha"') == "Ndiyo"
    assert _text("Ja [[image:A.jpg|b]]") == "Ja"


def test_wikitext_that_does_not_decode_is_a_fault_and_the_others_stay() -> None:
    measured = _run(b"caf\xe9", b"fine", None, b"\xef\xbb\xbfmark")
    assert measured.arrays[0].to_pylist() == [None, "fine", None, "mark"]
    assert measured.faults == {0: "not UTF-8 (byte 3)", 2: "no content"}


@pytest.mark.parametrize(
    "unit",
    ["{{a|", "[[a|", "<div>", '<a b="', "{|\n", "<br ", "<!--", "[http://a ", "{{{a|", "<b>{|\n"],
)
def test_wikitext_full_of_markup_that_does_not_close_is_a_fault_at_once(unit: str) -> None:
    began = time.process_time()
    measured = _run((unit * 20_000).encode(), b"fine")
    assert measured.faults == {0: "wikitext with too much markup that does not close"}
    assert measured.arrays[0].to_pylist() == [None, "fine"]
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("start", "end"), [("{{a|", "}}"), ("[[a|", "]]"), ("<div>", "</div>"), ("{|\n|\n", "\n|}\n")]
)
def test_wikitext_nested_deep_takes_no_time(start: str, end: str) -> None:
    began = time.process_time()
    measured = _run((start * 2000 + "x" + end * 2000).encode())
    assert not measured.faults
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "unit",
    [
        "({{x}}) ",
        "a {{x}} b. ",
        "Aa. ",
        "a {{fact}}",
        "    ",
        "<math/>",
        "-{a",
        "-{zh:a}-",
        "<sup>2</sup>",
    ],
)
def test_wikitext_of_one_long_line_takes_no_time(unit: str) -> None:
    began = time.process_time()
    measured = _run(f"a {{{{x}}}} b {{{{fact}}}} {unit * (60_000 // len(unit))}".encode())
    assert not measured.faults
    assert time.process_time() - began < 10


def test_wikitext_of_a_long_page_is_read_and_of_an_endless_one_is_a_fault() -> None:
    long = "Wote ''wamezaliwa'' [[huru]].\n\n" * 4000
    measured = _run(long.encode(), b"x" * (MAX_BYTES + 1))
    assert len(measured.arrays[0][0].as_py()) == len("Wote wamezaliwa huru.\n\n" * 4000) - 2
    assert measured.faults == {1: f"wikitext of more than {MAX_BYTES} bytes"}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("At {{convert|1300|mi|km}}, it ends.", "At 1300 mi, it ends."),
        ("{{convert|1.5|e6km2}} and {{convert|5|-|6|e9m3}}", "1.5×10^6 km^2 and 5 – 6×10^9 m^3"),
        ("{{val|1.5|+0.2|-0.1|e=3|u=m}} or {{val|5|3}}", "1.5 +0.2 -0.1 ×10^3 m or 5±3"),
        ("5{{deg}}, {{deg|7}}, x{{superscript|3}}, x{{su|p=1|b=2}}", "5°, 7°, x^3, x2^1"),
        ("{{10^|6}} {{sqrt|2}} {{nombre romain|14}} {{XXe}}", "10^6 √2 XIV XXe"),
        ("{{US$|5 million}}, {{£|5}}, {{HMS|Victory|1765}}", "US$5 million, £5, HMS Victory"),
        ("{{uc:abc}} {{lc:ABC}} {{ucfirst:abc}}", "ABC abc Abc"),
        (
            "Some were 25{{none such}} high. In 1990{{none such}} others grew.",
            "In 1990 others grew.",
        ),
        ("{{convert|3|to|5|km2|abbr=on}} wide", "3 to 5 km^2 wide"),
        ("{{Cvt|6|ft|2|in|m}} tall, {{convert|20|C}}", "6 ft 2 in tall, 20 °C"),
        ("Il mesure {{unité|1300|km}} et {{unité|5|km|2}}.", "Il mesure 1300 km et 5 km^2."),
        ("Tiene {{unidad|20|km}} y {{formatnum:2500}} peces.", "Tiene 20 km y 2500 peces."),
        ("hat {{FORMATNUM:2500|R}} Fische", "hat 2500 Fische"),
        ("about {{val|1.5|0.2|e=6|u=kg}} of it", "about 1.5±0.2×10^6 kg of it"),
        ("{{frac|1|2}}, {{sfrac|3|1|4}} and {{frac|8}}", "1/2, 3 1/4 and 1/8"),
        ("used in {{w|trade|trading}} and {{w|Oslo}}", "used in trading and Oslo"),
        ("слово {{lang-en|word}} и {{lang|fr|mot}}", "слово word и mot"),
        ("{{transl|ar|ALA|kitāb}} or {{translit|ar|kitab}}", "kitāb or kitab"),
        ("{{nihongo|Tokyo|東京|Tōkyō}} is", "Tokyo (東京, Tōkyō) is"),
        ("born {{birth date and age|1990|5|6|df=y}} there", "born 1990-05-06 there"),
        ("le {{date|14|juillet|1789}} au {{s|XIX|e}}", "le 14 juillet 1789 au XIXe siècle"),
        ("Le {{1er mai}} du {{XIXe siècle}} {{av JC}}", "Le 1er mai du XIXe siècle av. J.-C."),
        ("« {{Citation|Oui}} » dit-il {{refnec|ici|date=2010}}.", "« Oui » dit-il ici."),
        ("({{langx|fr|mot}}) {{val|20|u=degC}}", "(mot) 20 °C"),
        ("{{circa|1500|1520}} it stood", "c. 1500–1520 it stood"),
        ("{{As of|2015|5}}, there were 3.", "As of 2015-05, there were 3."),
        ("{{nowrap|1=5 = 2 + 3}} holds", "5 = 2 + 3 holds"),
        ("{{math|''x''{{sup|2}}}} and {{chem|H|2|O}} {{e|6}}", "x^2 and H2O ×10^6"),
        ("He said:\n{{quote|text=Be it so.|author=N}}\nThen", "He said:\n\nBe it so.\n\nThen"),
        ("-{zh-hans:计算机; zh-hant:電腦}-很快", "计算机很快"),
        ("-{A|zh-cn:甲{{lang|en|x}};zh-tw:乙}--{H|zh-cn:a;zh-tw:b}-。", "甲x。"),
        ("Program -{Windows}- i <math>e^{-{x}-}</math>", "Program Windows i $e^{-{x}-}$"),
        ("1990{{ndash}}95 {{spaced ndash}} {{!}}", "1990–95 – |"),
        ("le {{1er|janvier}} au {{n°|5}} et {{n°}}7", "le 1er janvier au n° 5 et n°7"),
        ("lungo {{M|1200|k|m}} o {{M|12||km}} o {{M|5|ul=km}}", "lungo 1200 km o 12 km o 5 km"),
        ("It rains. {{m|en|word}} is a word. {{pi|2}} is not.", "It rains."),
        ("{{script|Hebr|מים}} is {{tmath|x^2}}, {{em|so}}", "מים is $x^2$, so"),
        ("川{{ルビ|漢字|かんじ}}である", "川漢字 (かんじ)である"),
        ("Nehir {{dönüştür|5|km|mi}} uzun", "Nehir 5 km uzun"),
    ],
)
def test_wikitext_templates_show_their_numbers_and_words(source: str, text: str) -> None:
    assert _text(source) == text


def test_wikitext_keeps_the_indentation_of_lines_that_begin_with_a_blank() -> None:
    code = " def f(x):\n     if x:\n         return  x\n"
    shown = "def f(x):\n    if x:\n        return  x"
    assert _text(f"One:\n\n{code}\nTwo.") == f"One:\n\n{shown}\n\nTwo."
    assert _text(f"== Code ==\n{code}") == f"Code\n\n{shown}"
    assert _text("{| open\n   | a\n   | b\nText") == "Text"
    assert _text(" Text  of one\nline.") == "Text of one\nline."


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("10<sup>6</sup> m<sup>2</sup> 10<sup>-5</sup> 2<sup>n</sup>", "10^6 m^2 10^-5 2^n"),
        (
            "le 1<sup>er</sup> du XIX<sup>e</sup>, n<sup>o</sup> 4<sup>th</sup>",
            "le 1er du XIXe, no 4th",
        ),
        ("H<sub>2</sub>O, 10<sub>2</sub>, v<sub>max</sub>", "H2O, 10_2, v_max"),
        ("SO<sub>4</sub><sup>2−</sup>, <sup>14</sup>C", "SO4^2−, 14C"),
    ],
)
def test_wikitext_joins_no_number_to_what_is_above_or_below_it(source: str, text: str) -> None:
    assert _text(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("It rains. Over {{unknown|5}} people came. They sang.", "It rains. They sang."),
        ("It rains. Then {{unknown|5}}. They sang.", "It rains. They sang."),
        ("Der Fluss ist {{Länge|5}} lang.", ""),
        ("他有{{未知|5}}個。她也有。", "她也有。"),
        ("He met St. {{unknown}} in Rome. It rained.", "It rained."),
        ("Rome (Latin: {{unknown|Roma}}; old) is a city.", "Rome is a city."),
        ("It rains.{{unknown|a}} They sang{{unknown}}. {{unknown}}", "It rains. They sang."),
        ("{{unknown}}''Rome'' is a city.", "Rome is a city."),
        ("{{unknown}} is a city.\n\nIt rains.", "It rains."),
        ("* {{unknown}} 5 medals\n* Rome\n* {{unknown}}", "• Rome"),
        ("It rains{{citation needed|date=May}} there {{fact}}.", "It rains there."),
        ("It rains {{lang|en}} there. So.", "So."),
        ("{{Infobox\n|a=1}} Rome is.", "Rome is."),
    ],
)
def test_wikitext_leaves_no_sentence_with_a_hole(source: str, text: str) -> None:
    assert _text(source) == text


def test_line_of_very_many_holes_is_cut_in_one_pass() -> None:
    """Each sentence that holds one goes; looking for them anew after each took minutes."""
    line = "Kept (but not {{unknown}} this) here. It is {{unknown}} long. " * 20_000
    assert _text(line) == " ".join(["Kept here."] * 20_000)
