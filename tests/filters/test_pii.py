from __future__ import annotations

import random
import time

import phonenumbers
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.catalog.columns import PII_SPANS
from phloem.filters.language_files import languages
from phloem.filters.pii import may_be_valid, pii, replace_spans

PIECES = st.sampled_from(
    "a|é|1|12|030|2023|.|-|:|::|/|(|)|+|@|,|_| |\u00a0|\u2011|漢|x.de|o'b|@mail.de"
    "|9.9.9.9|194.21.73.164|+49|2a00:|90|18|20".split("|")
)


def _spans(text: str, language: str | None = "en") -> list[tuple[str, str]]:
    batch = pa.record_batch({"text": [text], "language": pa.array([language], pa.string())})
    data = text.encode()
    found = pii(batch).arrays[0][0].as_py()
    return [(data[each["start"] : each["end"]].decode(), each["kind"]) for each in found]


@settings(deadline=None, max_examples=500, derandomize=True)
@given(text=st.lists(PIECES, max_size=30).map("".join), tag=st.sampled_from(["de", "fr", None]))
def test_pii_equals_its_reference(text: str, tag: str | None) -> None:
    batch = pa.record_batch({"text": [text], "language": pa.array([tag], pa.string())})
    assert pii.reference is not None
    wanted = pii.reference(batch)
    for got, want in zip(pii(batch).arrays, wanted, strict=True):  # type: ignore[arg-type]
        assert got.to_pylist() == want.to_pylist()


REGIONS = sorted({region for one in languages().values() for region in one.regions})


@st.composite
def _dialled(draw: st.DrawFn) -> tuple[str, str]:
    """A region, and digits that may be a number there, as they may be dialled or misdialled."""
    region = draw(st.sampled_from(REGIONS))
    of = draw(st.sampled_from([region, draw(st.sampled_from(REGIONS))]))
    kind = draw(st.sampled_from(sorted(phonenumbers.PhoneNumberType.values())))
    example = phonenumbers.example_number_for_type(of, kind)
    number = phonenumbers.national_significant_number(example) if example else ""
    kept = draw(st.integers(max(0, len(number) - 4), len(number)))
    tail = draw(st.text("0123456789", min_size=len(number) - kept, max_size=len(number) - kept))
    code = str(phonenumbers.country_code_for_region(of))
    heads = st.lists(st.sampled_from(["00", "011", "810", "0", "1", "8", "06", code]), max_size=3)
    return region, "".join(draw(heads)) + number[:kept] + tail


@settings(deadline=None, max_examples=500, derandomize=True)
@given(dialled=_dialled())
def test_every_valid_number_may_be_valid(dialled: tuple[str, str]) -> None:
    region, digits = dialled
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return
    if phonenumbers.is_valid_number_for_region(number, region):
        assert may_be_valid(digits, region)


def test_most_digits_of_no_number_are_told_at_once() -> None:
    draw = random.Random(4)  # noqa: S311 - test data
    made = [str(draw.randrange(10**6, 10**17)) for _ in range(300)]
    assert sum(may_be_valid(digits, "US") for digits in made) < 30


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Schreiben Sie an j.smith+x@mx.mail.de.", "j.smith+x@mx.mail.de"),
        ("邮箱anna@univ-lyon.fr，谢谢", "anna@univ-lyon.fr"),
        ("<mailto:o'brien@xn--mller-kva.de>", "o'brien@xn--mller-kva.de"),
        ("'quoted@mail.co.uk'", "quoted@mail.co.uk"),
        ("بريد: li.wei99@museum.museum", "li.wei99@museum.museum"),
    ],
)
def test_email_is_found_whole(text: str, address: str) -> None:
    assert _spans(text) == [(address, "email")]


@pytest.mark.parametrize(
    "text",
    [
        "logo@2x.png",
        "root@localhost",
        "a@example.com b@sub.example.org c@host.test",
        "@handle",
        "a..b@mail.de",
        "x@-bad.de",
        "x@y",
        "x@1.2",
        "x" * 65 + "@mail.de",
    ],
)
def test_email_lookalike_is_left_alone(text: str) -> None:
    assert _spans(text) == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("host 194.21.73.164.", "194.21.73.164"),
        ("[2a00:1450:4001:81b::200e]:80", "2a00:1450:4001:81b::200e"),
        ("IP：8.8.144.8，", "8.8.144.8"),
    ],
)
def test_public_address_is_found(text: str, address: str) -> None:
    assert _spans(text) == [(address, "ip")]


@pytest.mark.parametrize(
    "text",
    [
        "10.1.2.3 192.168.0.1 127.0.0.1 203.0.113.9 224.0.0.1 0.0.0.0",
        "version 2.6.32.11 and v1.2.3.4",
        "300.1.2.3 1.2.3",
        "OID 1.3.6.1.4.1.311",
        "194.21.73.164.5",
        "12:30:45 a::b std::string::npos fe80::1 2001:db8::1 00:1b:44:11:3a:b7",
    ],
)
def test_private_address_version_or_time_is_left_alone(text: str) -> None:
    assert _spans(text) == []


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("Tel. +49 30 901820 heute", None, "+49 30 901820"),
        ("+33123456789", "zh", "+33123456789"),
        ("+62 21 8353070 2023", "id", "+62 21 8353070"),
        ("(030) 901820", "de", "(030) 901820"),
        ("☎ 01 23 45 67 89", "fr", "01 23 45 67 89"),
        ("call (202) 456-1111 now", "en", "(202) 456-1111"),
        ("電話 03-3580-3311 です", "ja", "03-3580-3311"),
        ("tél. 01\u00a023\u00a045\u00a067\u00a089", "fr", "01\u00a023\u00a045\u00a067\u00a089"),
    ],
)
def test_phone_is_found(text: str, language: str | None, number: str) -> None:
    assert _spans(text, language) == [(number, "phone")]


@pytest.mark.parametrize(
    "text",
    [
        "2023-10-11 and 11.10.2023",
        "ISBN 978-3-16-148410-0",
        "5510-9494-2742-4650",
        "1 2 3 4 5 6 7 8 9 10 11",
        "3,141,592 1,234.56",
        "+999 123 4567",
        "GR695883499DZU7HHMU2L9OZVOU",
        "20234567",
        "202x4561111",
    ],
)
def test_other_number_is_left_alone(text: str) -> None:
    assert _spans(text, "de") == []


def test_counts_and_nulls() -> None:
    batch = pa.record_batch(
        {"text": ["a@x.de b@x.de 194.21.73.164", None, ""], "language": ["de", "de", None]}
    )
    spans, emails, ips, phones = pii(batch).arrays
    assert spans.is_valid().to_pylist() == [True, False, True]
    assert emails.to_pylist() == [2, None, 0]
    assert ips.to_pylist() == [1, None, 0]
    assert phones.to_pylist() == [0, None, 0]


def _replace(texts: pa.Array, *spans: list[tuple[int, int, str]] | None) -> list[str | None]:
    rows = [
        None
        if row is None
        else [dict(zip(("start", "end", "kind"), one, strict=True)) for one in row]
        for row in spans
    ]
    words = {"email": "<E-Mail é>", "ip": ""}
    return replace_spans(texts, pa.array(rows, PII_SPANS.type), words).to_pylist()  # type: ignore[no-any-return]


def test_replace_spans_works_on_bytes_slices_and_nulls() -> None:
    texts = pa.array(["skipped", "é a@x.de 9.9.9.9", "+49 1", None, "x", ""]).slice(1)
    got = _replace(
        texts,
        [(3, 9, "email"), (10, 17, "ip")],
        [(0, 5, "phone")],
        [],
        None,
        [],
    )
    assert got == ["é <E-Mail é> ", "+49 1", None, "x", ""]


def test_replace_spans_with_a_slice_of_spans() -> None:
    spans = pa.array(
        [[{"start": 0, "end": 1, "kind": "ip"}], [], [{"start": 1, "end": 2, "kind": "ip"}]]
    )
    got = replace_spans(pa.array(["abc", "abc"]), spans.cast(PII_SPANS.type).slice(1), {"ip": "*"})
    assert got.to_pylist() == ["abc", "a*c"]


@pytest.mark.parametrize("spans", [[(0, 4, "ip")], [(2, 1, "ip")], [(0, 2, "ip"), (1, 3, "ip")]])
def test_replace_spans_refuses_spans_that_do_not_fit(spans: list[tuple[int, int, str]]) -> None:
    with pytest.raises(ValueError, match="span of row 0"):
        _replace(pa.array(["abc"]), spans)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(text=st.text(max_size=20), cuts=st.lists(st.integers(0, 20), max_size=6))
def test_replace_spans_equals_splicing(text: str, cuts: list[int]) -> None:
    places = sorted({len(text[:cut].encode()) for cut in cuts})
    pairs = list(zip(places[::2], places[1::2], strict=False))
    data, out, at = text.encode(), b"", 0
    for start, end in pairs:
        out, at = out + data[at:start] + "<E-Mail é>".encode(), end
    out += data[at:]
    assert _replace(pa.array([text]), [(a, b, "email") for a, b in pairs]) == [out.decode()]


def test_replace_spans_refuses_another_number_of_lists() -> None:
    with pytest.raises(ValueError, match="2 lists of spans for 1 texts"):
        _replace(pa.array(["abc"]), [], [])


@pytest.mark.parametrize("piece", ["(", "+", "1 ", "a", "@", "a@b.de ", ":", "1:", "9.9."])
def test_long_run_of_one_piece_takes_linear_time(piece: str) -> None:
    def seconds(times: int) -> float:
        batch = pa.record_batch(
            {"text": [piece * times], "language": pa.array([None], pa.string())}
        )
        start = time.process_time()
        pii(batch)
        return time.process_time() - start

    seconds(10)
    assert seconds(40_000) < 2  # a quadratic scan takes minutes
