"""XML as a stream, and the licences that it names by address."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.sources.connector import Fault
from phloem.sources.formats.creative_commons import spdx_in, spdx_of
from phloem.sources.formats.read_xml import elements
from phloem.sources.formats.unpack import UnpackError
from phloem.sources.limits import Limits

BODY = (
    '<r xmlns:x="http://example.org/x"><!-- a --><x:a n="1">Wote <b>ทุกคน</b> &lt;</x:a>\n'
    '<a x:n="2">सभी<a>ndani</a></a><![CDATA[x]]><a/></r>'
).encode()


def texts(chunks: Iterator[bytes], **limits: int) -> list[str | Fault]:
    return [
        found if isinstance(found, Fault) else "".join(found[1].itertext())
        for found in elements(chunks, "a", Limits(**limits))
    ]


@settings(max_examples=50, deadline=None)
@given(cuts=st.lists(st.integers(0, len(BODY)), max_size=8))
def test_elements_cut_anywhere_are_the_same(cuts: list[int]) -> None:
    ends = [*sorted(cuts), len(BODY)]
    chunks = (BODY[start:end] for start, end in zip([0, *ends], ends, strict=False))
    assert texts(chunks) == ["Wote ทุกคน <", "सभीndani", ""]


def test_elements_say_where_they_begin_and_have_plain_attributes() -> None:
    found = [each for each in elements(iter([BODY]), "a", Limits()) if not isinstance(each, Fault)]
    assert [offset for offset, _ in found] == [BODY.index(t) for t in (b"<x:a", b"<a x", b"<a/>")]
    assert [element.get("n") for _, element in found] == ["1", "2", None]


def test_elements_of_a_broken_stream_come_before_its_fault() -> None:
    def broken() -> Iterator[bytes]:
        yield BODY[: BODY.index(b"<a x")]
        raise UnpackError("truncated gzip", 33)

    *good, fault = texts(broken())
    assert good == ["Wote ทุกคน <"]
    assert fault == Fault(None, 33, "truncated gzip", rest=True)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "truncated XML"),
        (BODY[:-1], "truncated XML"),
        (BODY + b"<a/>", "broken XML"),
        (b"<a>\xff</a>", "broken XML"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "broken XML"),
        (b"<a>&undeclared;</a>", "broken XML"),
        (b"no xml", "broken XML"),
    ],
)
def test_elements_of_what_is_no_xml_end_with_one_fault(body: bytes, reason: str) -> None:
    *_, last = texts(iter([body]))
    assert isinstance(last, Fault)
    assert (last.reason, last.rest) == (reason, True)


def test_elements_of_a_bomb_of_entities_or_attributes_are_refused() -> None:
    laughs = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 9))
    for inner in (
        f'<!ENTITY e0 "ha">{laughs}',
        '<!ATTLIST a b CDATA "x">',
        '<!ENTITY e SYSTEM "f">',
    ):
        (fault,) = texts(iter([f"<!DOCTYPE a [{inner}]><a>&e8;</a>".encode()]))
        assert isinstance(fault, Fault)
        assert fault.reason == "XML with declarations of its own"


def test_elements_in_a_long_tag_take_linear_time() -> None:
    began = time.process_time()
    chunk = b"x" * 65536
    chunks = iter([b'<r><a n="', *[chunk] * 800, b'">fupi</a></r>'])
    assert texts(chunks) == ["fupi"]
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("address", "spdx"),
    [
        ("http://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by-nc-nd/2.5", "CC-BY-NC-ND-2.5"),
        ("https://www.creativecommons.org/licenses/by-sa/3.0/deed.de", "CC-BY-SA-3.0"),
        ("http://creativecommons.org/licenses/by/3.0/igo/", "CC-BY-3.0-IGO"),
        ("https://creativecommons.org/publicdomain/zero/1.0/legalcode", "CC0-1.0"),
        ("http://creativecommons.org/licenses/by/3.0/us/", None),
        ("http://creativecommons.org/licenses/by-nd/3.0/igo/", None),
        ("http://creativecommons.org/licenses/by-nd-nc/1.0/", None),
        ("http://creativecommons.org/publicdomain/mark/1.0/", None),
        ("http://example.org/?creativecommons.org/licenses/by/4.0/", None),
        ("CC BY 4.0", None),
        ("", None),
    ],
)
def test_spdx_of_an_address_is_named_or_nothing(address: str, spdx: str | None) -> None:
    assert spdx_of(address) == spdx


PLOS = (
    "This is an open-access article distributed under the terms of the Creative Commons Attribution"
    " License, which permits unrestricted use, distribution, and reproduction in any medium."
)


@pytest.mark.parametrize(
    ("words", "day", "spdx"),
    [
        (PLOS, "2003-10-13", {"CC-BY-1.0"}),
        (PLOS, "2005-02", {"CC-BY-2.0"}),
        (PLOS, "2006", {"CC-BY-2.5"}),
        (PLOS, "2009-03-01", {"CC-BY-3.0"}),
        (PLOS, "2014-01-02", {"CC-BY-4.0"}),
        (PLOS, "2007", set()),  # 2.5 until February
        (PLOS, "2001-01-01", set()),
        (PLOS, None, set()),
        (
            "Creative Commons Attribution-NonCommercial-NoDerivs",
            "2010",
            {"CC-BY-NC-ND-3.0"},
        ),
        ("Creative Commons Attribution Non-Commercial License 2.0", "2010", {"CC-BY-NC-2.0"}),
        ("a Creative Commons Attribution 4.0 International License, which", "2020", {"CC-BY-4.0"}),
        ("Creative Commons Attribution License (CC BY 3.0)", "2020", {"CC-BY-3.0"}),
        ("Creative Commons Attribution-ShareAlike 3.0 Unported", None, {"CC-BY-SA-3.0"}),
        ("licensed CC BY-NC-ND 4.0.", None, {"CC-BY-NC-ND-4.0"}),
        ("Creative Commons Attribution 3.0 Germany License", "2010", set()),
        ("Creative Commons Attribution‐NonCommercial‑NoDerivs 4.0", None, {"CC-BY-NC-ND-4.0"}),
        ("CC BY NC SA 4.0", None, {"CC-BY-NC-SA-4.0"}),
        ("Creative Commons Attribution, Share Alike 4.0", None, {"CC-BY-SA-4.0"}),
        ("Creative Commons Attribution License (Non-Commercial) 4.0", "2020", set()),
        ("Creative Commons Attribution and Noncommercial 3.0", "2010", set()),
        ("Creative Commons Attribution License for non-commercial use", "2010", set()),
        ("Creative Commons Attribution - Pas d'Utilisation Commerciale 4.0", "2020", set()),
        ("CC BY 4.0 NC", None, set()),
        ("CC BY/ND 4.0", None, set()),
        ("CC BY-NC-SA 3.0 IGO", None, {"CC-BY-NC-SA-3.0-IGO"}),
        ("Creative Commons Attribution 3.0 IGO License", None, {"CC-BY-3.0-IGO"}),
        ("Creative Commons Attribution 4.0 IGO License", None, set()),
        ("licensed CC BY 3.0 US", "2010", set()),
        (f"{PLOS[:-1]} (http://creativecommons.org/licenses/by/2.0).", "2009", {"CC-BY-2.0"}),
        (f"{PLOS} See http://creativecommons.org/licenses/by/3.0/us/.", "2009-05-01", set()),
        ("CC BY-NC, https://creativecommons.org/licenses/by/4.0/", "2020", set()),
        ("All rights reserved. Creative commons of the village.", "2010", set()),
    ],
)
def test_spdx_in_words_is_of_the_version_named_or_in_force(
    words: str, day: str | None, spdx: set[str]
) -> None:
    assert spdx_in(words, day) == spdx
