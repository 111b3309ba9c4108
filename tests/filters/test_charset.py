"""From bytes to text: what labels mean, where a page says which is its own, and what is damaged."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pyarrow as pa
import pytest
from resiliparse.parse.encoding import map_encoding_to_html5

from phloem.filters.charset import codec, decode, decode_page
from phloem.filters.extract import html
from phloem.filters.op import Measured

BUNDLED = Path(__file__).resolve().parents[2] / "sources" / "bundled" / "udhr.jsonl.gz"
BAD = "\ufffd"
DECLARED = {
    "header": ("", "text/html; charset={}"),
    "meta": ("<meta charset={}>", "text/html"),
    "pragma": ('<META content="text/html; charset={}" HTTP-EQUIV=Content-Type>', "text/html"),
    "xhtml": ('<?xml version="1.0" encoding="{}"?>', "application/xhtml+xml"),
}
# A language, a codec to write it in, labels of that charset, and a byte that it does not have.
LEGACY = [
    ("ru", "cp1251", "windows-1251 cp1251 x-cp1251", b"\x98"),
    ("uk", "koi8-u", "koi8-u koi8-ru", b""),
    ("ru", "cp866", "ibm866 cp866 866 dos-866", b""),
    ("ru", "mac-cyrillic", "x-mac-cyrillic", b""),
    ("el", "iso8859-7", "iso-8859-7 greek sun_eu_greek", b"\xd2"),
    ("he", "iso8859-8", "iso-8859-8 iso-8859-8-i logical visual", b"\xfc"),
    ("ar", "iso8859-6", "iso-8859-6 iso-8859-6-i arabic", b"\xa1"),
    ("fa", "cp1256", "windows-1256 CP1256", b""),
    ("th", "cp874", "windows-874 cp874 tis-620 TIS-620 tis620 iso-8859-11 dos-874", b"\xff"),
    ("ko", "cp949", "euc-kr cp949 uhc ms949 windows-949 x-windows-949 korean", b"\xff"),
    ("ko", "cp949", "ks_c_5601-1987 KS_C_5601-1989 ksc5601 iso-ir-149", b"\xff"),
    ("ko", "johab", "johab", b"\xff"),
    ("zh-Hans", "gb18030", "gb2312 gbk gb18030 x-gbk GB_2312-80 chinese", b"\xff"),
    ("zh-Hans", "gb18030", "cp936 ms936 windows-936", b"\xff"),
    ("zh-Hant", "big5hkscs", "big5 big5-hkscs cn-big5 x-x-big5", b"\xff"),
    ("zh-Hant", "cp950", "cp950 windows-950", b"\xff"),
    ("ja", "euc_jp", "euc-jp x-euc-jp", b"\xff"),
    ("ja", "cp932", "shift_jis sjis x-sjis windows-31j Windows-31J ms932 cp932", b"\xff"),
    ("ja", "cp932", "shift_jis", b"\x80"),
    ("ja", "cp932", "shift_jis", b"\xa0"),
    ("ja", "iso2022_jp", "iso-2022-jp csiso2022jp", b"\xff"),
    ("pl", "cp1250", "windows-1250", b"\x81"),
    ("hu", "iso8859-2", "iso-8859-2 latin2 iso88592", b""),
    ("tr", "cp1254", "windows-1254 iso-8859-9 latin5", b"\x81"),
    ("lt", "cp1257", "windows-1257", b"\xa1"),
    ("fr", "cp1252", "iso-8859-1 latin1 us-ascii windows-1252 ISO_8859-1:1987", b"\x81"),
    ("fr", "mac-roman", "macintosh x-mac-roman", b""),
    ("bn", "utf-8", "utf8 UTF-8 unicode-1-1-utf-8 cp65001", b"\xff"),
]


@pytest.fixture(scope="module")
def texts() -> dict[str, list[str]]:
    """The first lines of the Universal Declaration, by language."""
    rows = [json.loads(line) for line in gzip.decompress(BUNDLED.read_bytes()).splitlines()]
    lines = {row["language"]: row["text"][:300].split("\n") for row in rows}
    return {language: [line for line in some if line.strip()] for language, some in lines.items()}


def run(*pages: tuple[bytes, str]) -> Measured:
    """What `html` makes of pages with their media types."""
    contents, kinds = zip(*pages, strict=True)
    return html(pa.record_batch({"content": pa.array(contents, pa.binary()), "media_type": kinds}))


def extracted(*pages: tuple[bytes, str]) -> list[str]:
    measured = run(*pages)
    assert not measured.faults
    return list(measured.arrays[0].to_pylist())


def pieces(lines: list[str], head: str, name: str) -> tuple[bytes, list[bytes], bytes]:
    """The start of a page, its paragraphs and its end, as bytes."""
    start = f"{head}<!doctype html><html><head><title>t</title></head><body>"
    if not head.startswith("<?xml"):
        start = f"<!doctype html><html><head>{head}<title>t</title></head><body>"
    body = [f"<p>{line}</p>".encode(name) for line in lines]
    return start.encode(name), body, b"</body></html>"


@pytest.mark.parametrize("damage", [b"\xff", b"\xc3", b"\x80", b"\xe0\xa4"])
@pytest.mark.parametrize("how", [*DECLARED, "nothing"])
def test_page_in_any_language_loses_nothing_to_one_bad_byte(texts, how, damage) -> None:
    head, kind = DECLARED.get(how, ("", "text/html"))
    kind = kind.format("utf-8")
    pages, clean = [], []
    for lines in texts.values():
        start, body, end = pieces(lines, head.format("utf-8"), "utf-8")
        whole = start + b"".join(body)
        if how == "nothing" and not sum(map(len, body)) > len("".join(lines)) + 7 * len(body) + 1:
            continue  # no more than one character says that it is UTF-8
        pages += [
            (damage + whole + end, kind),
            (start + body[0][:-4] + damage + b"</p>" + b"".join(body[1:]) + end, kind),
            (whole + end + damage, kind),
        ]
        clean += ["\n\n".join(" ".join(line.split()) for line in lines)] * 3
    assert len(pages) > 250
    got = extracted(*pages)
    assert all(BAD in text for text in got)
    assert [text.replace(BAD, "").strip() for text in got] == clean


@pytest.mark.parametrize("how", [*DECLARED, "nothing"])
def test_page_cut_inside_a_character_keeps_the_rest(texts, how) -> None:
    head, kind = DECLARED.get(how, ("", "text/html"))
    pages, wanted = [], []
    for lines in texts.values():
        text = lines[0] if len(lines[0]) > 40 else " ".join(lines)
        wide = [place for place, letter in enumerate(text) if ord(letter) > 127]
        if len(wide) < 2:
            continue
        start, (body,), _ = pieces([text[: wide[-1]]], head.format("utf-8"), "utf-8")
        cut = start + body[:-4] + text[wide[-1]].encode()[:-1]
        pages.append((cut, kind.format("utf-8")))
        wanted.append(" ".join((text[: wide[-1]] + BAD).split()))
    assert len(pages) > 70
    assert extracted(*pages) == wanted


@pytest.mark.parametrize(("language", "name", "labels", "damage"), LEGACY)
@pytest.mark.parametrize("how", DECLARED)
def test_page_in_a_legacy_charset(texts, how, language, name, labels, damage) -> None:
    head, kind = DECLARED[how]
    lines = [line.encode(name, "ignore").decode(name) for line in texts[language]]
    pages = []
    for label in labels.split():
        start, body, end = pieces(lines, head.format(label), name)
        pages.append((start + b"".join(body) + end, kind.format(label)))
        pages.append(
            (start + body[0][:-4] + damage + b"</p>" + b"".join(body[1:]), kind.format(label))
        )
    got = extracted(*pages)
    clean = "\n\n".join(" ".join(line.split()) for line in lines)
    assert [text.replace(BAD, "") for text in got] == [clean] * len(pages)
    assert [BAD in text for text in got] == [False, bool(damage)] * len(labels.split())


def test_codec_means_what_the_standard_says() -> None:
    labels = """866 ansi_x3.4-1968 arabic asmo-708 big5 chinese cn-big5 cp819 cp866 cseuckr csgb2312
        csiso2022jp csiso88596e csisolatin9 csmacintosh cyrillic dos-874 ecma-118 elot_928 euc-jp
        gb_2312-80 greek8 hebrew ibm819 iso-10646-ucs-2 iso-8859-16 iso-ir-58 iso88599 koi koi8-ru
        korean ksc_5601 l9 latin4 logical mac ms_kanji sun_eu_greek ucs-2 unicode11utf8 unicodefffe
        utf-16 utf-16be visual windows-1258 windows-874 windows-949 x-cp1250 x-euc-jp x-gbk x-sjis
        x-unicode20utf8 x-x-big5""".split()
    wider = {
        "big5": "big5hkscs",
        "euc_kr": "cp949",
        "gbk": "gb18030",
        "iso8859-11": "cp874",
        "shift_jis": "cp932",
    }
    for label in labels:
        name = map_encoding_to_html5(label, fallback_utf8=False)
        assert codec(f" {label.upper()} ") == wider.get(name, name), label


@pytest.mark.parametrize(
    ("label", "name"),
    [
        *((label, "cp949") for label in "cp949 uhc ms949 windows-949 ks_c_5601-1987".split()),
        *((label, "cp874") for label in "cp874 tis-620 tis620 iso-8859-11".split()),
        *((label, "gb18030") for label in "cp936 ms936 windows-936 gb18030-2000".split()),
        *((label, "cp1251") for label in "cp-1251 win-1251 win1251 ansi-1251 1251".split()),
        *((label, "utf-8") for label in "utf8mb4 utf8n cp65001 utf_8".split()),
        ("8859_1", "cp1252"),
        ("latin-2", "iso8859-2"),
        ("koi8u", "koi8-u"),
        ("cp51932", "euc_jp"),
        ("cp50220", "iso2022_jp"),
        ("big5-eten", "big5hkscs"),
        ("x-mac-ce", "mac-latin2"),
        ("ucs2", "utf-16-le"),
    ],
)  # fmt: skip
def test_codec_knows_the_common_names_beside_the_standards(label: str, name: str) -> None:
    assert codec(label) == name


def test_page_in_koi8_that_nobody_declares_keeps_ukrainian_letters() -> None:
    text = "Всі люди народжуються вільними і рівними у своїй гідності та правах. Ґанок її. " * 3
    assert decode_page(f"<p>{text}".encode("koi8-u"), "text/html") == f"<p>{text}"


NO_CHARSETS = """rot13 hex base64 zip unicode_escape raw_unicode_escape unicode-escape idna punycode
    undefined charmap utf-7 UTF7 x-unicode-1-1-utf-7 viscii {{charset}} a\0b ../x é""".split()


@pytest.mark.parametrize("label", [*NO_CHARSETS, "x" * 999])
def test_label_that_is_no_charset_is_a_fault(label) -> None:
    page = "<p>дом".encode("cp1251")
    measured = run(
        (page, f"text/html; charset={label}"),
        (b"<meta charset='%b'>" % label.encode() + page, "text/html"),
    )
    assert all(reason.startswith("unknown charset") for reason in measured.faults.values())
    assert set(measured.faults) == {0, 1}
    with pytest.raises(ValueError, match="unknown charset"):
        decode(page, f"text/plain; charset={label}")


def test_label_that_is_no_name_is_not_told() -> None:
    """It stands in the page, and may be anything that a page holds."""
    page = "<p>дом".encode("cp1251")
    measured = run((b"<meta charset='ana@example.org +1 555 0100'>" + page, "text/html"))
    assert measured.faults == {0: "unknown charset"}
    with pytest.raises(ValueError, match=r"unknown charset$"):
        decode(page, "text/plain; charset=ana@example.org")


@pytest.mark.parametrize("label", ["none", "{{ page.charset }}", "utf-7", "x-user-defined"])
def test_page_of_ascii_needs_no_charset(label: str) -> None:
    measured = run((f"<meta charset='{label}'><p>plain words".encode(), "text/html"))
    assert (measured.arrays[0].to_pylist(), measured.faults) == (["plain words"], {})


@pytest.mark.parametrize(
    ("content", "label", "text"),
    [
        (b"5 \x80", "gbk", "5 €"),
        (b"5 \x80", "gb2312", "5 €"),
        (b"a\x81b\x9d", "iso-8859-1", "a\x81b\x9d"),
        (b"\x98", "windows-1251", "\x98"),
    ],
)
def test_text_in_bytes_that_python_lacks(content: bytes, label: str, text: str) -> None:
    assert decode(content, f"text/plain; charset={label}") == text


def test_unknown_label_gives_way_to_a_known_one_and_to_bytes_that_are_utf8() -> None:
    assert decode_page(b"<meta charset=koi8-r>\xc4", "text/html; charset=none")[-1] == "д"
    assert decode_page(b"<meta charset=x><meta charset=koi8-r>\xc4", "text/html")[-1] == "д"
    assert decode_page("<meta charset=utf8mb4>д".encode(), "text/html")[-1] == "д"


@pytest.mark.parametrize(
    ("page", "letter"),
    [
        (b"<META CHARSET = 'KOI8-R' >\xc4", "д"),
        (b"<meta charset=X-User-Defined>\xc4", "Ä"),
        (b"<meta/charset=koi8-r/>\xc4", "д"),
        (b'<meta charset=" koi8-r ">\xc4', "д"),
        (b"<meta name=x charset=koi8-r charset=cp1251>\xc4", "д"),
        (b"<!-- <meta charset=cp1251> --><meta charset=koi8-r>\xc4", "д"),
        (b"<!--><meta charset=koi8-r>\xc4", "д"),
        (b"<script>'<meta charset=cp1251>'</script><meta charset=koi8-r>\xc4", "д"),
        (b"<script-x><meta charset=koi8-r>\xc4", "д"),
        (b'<p title="<meta charset=cp1251>"><meta charset=koi8-r>\xc4', "д"),
        (b"<p title=don't><meta charset=koi8-r>\xc4", "д"),
        (b"<meta name=description content='charset=cp1251'><meta charset=koi8-r>\xc4", "д"),
        (b"<meta content='text/html;charset=\"koi8-r\"' http-equiv=content-type>\xc4", "д"),
        (b"<?xml version='1.0' encoding='cp1251'?><meta charset=koi8-r>\xc4", "д"),
        (b"<meta charset=utf-16>\xd0\xb4", "д"),
        (b"<meta charset=cp037>\xd0\xb4", "д"),
        (b"<p>" + b"a" * 2000 + b"<meta charset=koi8-r>\xc4", "д"),
        (b"<p>" + b"a" * 2000 + b"<meta charset=koi8-r>\xd0\xb4", "д"),
        (b"\xef\xbb\xbf<meta charset=koi8-r>\xd0\xb4", "д"),
        ("<p>д".encode("utf-16-le"), "д"),
        ("\r\n <p>д".encode("utf-16-be"), "д"),
        ("\ufeff<meta charset=koi8-r>д".encode("utf-16-be"), "д"),
        ("\ufeff<p>д".encode("utf-16-le") + b"\x34", BAD),
        ("\ufeff<p>".encode("utf-16-le") + b"\x00\xd8", BAD),
        ("\ufeff<p>".encode("utf-32-le") + b"\xff\xff\xff\xff", BAD),
    ],
)
def test_page_declares_its_charset(page, letter) -> None:
    assert decode_page(page, "text/html")[-1] == letter


def test_page_of_xml_is_read_by_its_xml_declaration_first() -> None:
    page = b"<?xml version='1.0' encoding='koi8-r'?><meta charset=cp1251>\xc4"
    assert decode_page(page, "application/xhtml+xml")[-1] == "д"


def test_page_that_is_not_what_it_declares_shows_it() -> None:
    """Browsers put U+FFFD too; the letters of another charset would pass every rule."""
    page = "<meta charset=utf-8><p>été à Mâcon".encode("cp1252")
    assert decode_page(page, "text/html").endswith(f"{BAD}t{BAD} {BAD} M{BAD}con")


def test_page_without_a_declaration_is_guessed_only_if_it_is_not_utf8() -> None:
    russian = "Все люди рождаются свободными и равными в своём достоинстве и правах."
    for name in ("cp1251", "koi8-r", "utf-8"):
        assert decode_page(f"<p>{russian}".encode(name), "text/html") == f"<p>{russian}"
    assert decode_page(b"<p>\x1b$B$3$s\x1b(B", "text/html") == "<p>こん"
    unsaid = decode_page("<p>오늘은 날씨가".encode("cp949"), "text/html")
    assert unsaid.count(BAD) >= 6  # as many as there are letters, and none of another script
    assert not any(letter.isalpha() for letter in unsaid[3:])


def test_pair_that_does_not_decode_shifts_nothing_after_it() -> None:
    for label, pair, after in (
        ("euc-jp", b"\xa9\xa1", "日本語のテスト"),
        ("euc-kr", b"\xc9\xa1", "오늘아침"),
        ("big5", b"\x80", "中文字符測試"),
    ):
        page = pair + after.encode(codec(label) or "")
        assert decode_page(page, f"text/html; charset={label}") == BAD + after
        with pytest.raises(ValueError, match=r"byte 0"):
            decode(page, f"text/plain; charset={label}")


def test_japanese_has_the_rows_of_nec_and_ibm_in_each_of_its_charsets() -> None:
    for label, content in (
        ("euc-jp", b"\xad\xa1\xfc\xe2" + "語".encode("euc_jp")),
        ("iso-2022-jp", b"\x1b$B-!|b8l\x1b(B"),
        ("shift_jis", b"\x87\x40\xfb\xfc" + "語".encode("cp932")),
    ):
        assert decode_page(content, f"text/html; charset={label}") == "①髙語"
        assert decode(content, f"text/plain; charset={label}") == "①髙語"


def test_shift_jis_has_no_private_characters_for_bad_bytes() -> None:
    with pytest.raises(ValueError, match=r"not cp932 \(byte 5\)"):
        decode("日本a".encode("cp932") + b"\xff", "text/plain; charset=Shift_JIS")


@pytest.mark.parametrize(
    "piece",
    [b"<!--", b"<script>", b"<a b='", b'<a b="', b"<meta a='x", b"<", b"<a b=", b"<title", b" \0"],
)
def test_page_of_broken_tags_takes_one_pass(piece) -> None:
    def seconds(size: int) -> float:
        page = piece * (size // len(piece)) + b"charset\xff"
        before = time.process_time()
        decode_page(page, "text/html")
        return time.process_time() - before

    seconds(1000)
    assert seconds(400_000) < 20 * max(seconds(100_000), 0.005)


ITALIAN = "Ogni individuo ha diritto alla libertà perché è più di una città, e così ciò che può."
BULGARIAN = "Всички хора се раждат свободни и равни по достойнство и права. Тя е моя и твоя."


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        (ITALIAN, "cp1252"),
        (BULGARIAN, "mac-cyrillic"),
        (BULGARIAN, "cp1251"),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy, všichni lidé rodí se svobodní.", "cp852"),
        ("Alle mennesker er født frie og like i verdighet og på jorden, så ære være.", "cp865"),
    ],
)
def test_undeclared_page_is_read_as_what_leaves_no_capitals_within_words(
    text: str, charset: str
) -> None:
    assert decode_page(f"<p>{text}".encode(charset), "text/html") == f"<p>{text}"
