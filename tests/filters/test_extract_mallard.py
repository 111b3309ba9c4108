"""Mallard pages: what a reader sees of them, and what is refused."""

from __future__ import annotations

import pyarrow as pa
import pytest

from phloem.catalog.columns import CONTENT, MEDIA_TYPE
from phloem.filters.extract_mallard import MALLARD, mallard
from phloem.filters.op import Measured

HEAD = '<?xml version="1.0" encoding="utf-8"?><page xmlns="http://projectmallard.org/1.0/">'


def extract(page: str | bytes) -> Measured:
    content = page if isinstance(page, bytes) else page.encode()
    rows = [pa.array([content], CONTENT.type), pa.array([MALLARD], MEDIA_TYPE.type)]
    found = mallard(pa.RecordBatch.from_arrays(rows, names=[CONTENT.name, MEDIA_TYPE.name]))
    assert isinstance(found, Measured)
    return found


def text(page: str) -> str:
    found: str = extract(HEAD + page + "</page>").arrays[0][0].as_py()
    return found


def test_mallard_credits_revisions_links_and_pictures_are_left_out() -> None:
    page = """<info><link type="guide" xref="a11y"/><revision pkgversion="3.8"/>
      <credit><name>শ্বণ মেকেন্স</name><email>a@example.org</email></credit><desc>বিৱৰণ</desc></info>
      <title>বাউঞ্চ কি'সমূহ অন কৰক</title>
      <media type="image" src="x.png"><p>A picture.</p></media>
      <p>দ্ৰুত <em>বাউঞ্চ</em>
         কি।</p>"""
    assert text(page) == "বাউঞ্চ কি'সমূহ অন কৰক\n\nদ্ৰুত বাউঞ্চ কি।"


def test_mallard_steps_are_numbered_and_lists_marked_one_in_another() -> None:
    page = """<steps><item><p>ஒன்று</p><list><item><p>a</p></item></list></item>
      <item><p>இரண்டு</p><p>more</p></item></steps><p>after</p>"""
    assert text(page) == "1. ஒன்று\n\n• a\n\n2. இரண்டு\n\nmore\n\nafter"


def test_mallard_screens_keep_their_lines_and_code_in_a_line_does_not_break_it() -> None:
    page = (
        "<p>Run <code>ls</code> now.</p><screen>\n$ ls\n  a</screen><note><title>T</title></note>"
    )
    assert text(page) == "Run ls now.\n\n$ ls\n  a\n\nT"


@pytest.mark.parametrize(
    "page",
    [
        HEAD + "<p>cut",
        '<!DOCTYPE page [<!ENTITY b "c">]><page>&b;</page>',
        '<?xml version="1.0" encoding="nosuch"?><page/>',
    ],
)
def test_mallard_what_is_no_xml_or_declares_entities_is_a_fault(page: str) -> None:
    found = extract(page)
    assert found.arrays[0].to_pylist() == [None]
    assert len(found.faults) == 1
