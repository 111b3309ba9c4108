"""Files of messages: what MediaWiki's users read, and what is refused."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from phloem.catalog.columns import CONTENT, MEDIA_TYPE
from phloem.filters.extract_messages import MESSAGES, mediawiki_messages
from phloem.filters.op import Measured


def extract(content: bytes) -> Measured:
    rows = [pa.array([content], CONTENT.type), pa.array([MESSAGES], MEDIA_TYPE.type)]
    batch = pa.RecordBatch.from_arrays(rows, names=[CONTENT.name, MEDIA_TYPE.name])
    found = mediawiki_messages(batch)
    assert isinstance(found, Measured)
    return found


@pytest.mark.parametrize(
    "markup",
    [
        "{{PLURAL:$1|a|b}} la",
        "Pa [[Main Page]]",
        "[//mediawiki.org Jani]",
        "[https://mediawiki.org Jani]",
        "<strong>Jani</strong>",
        "__NOTOC__ Jani",
        "* Jani",
    ],
)
def test_messages_with_markup_are_left_out_and_the_rest_keeps_its_order(markup: str) -> None:
    value = {
        "@metadata": {"authors": ["Nobody"]},
        "b": "Bisa vyakulemba vyane",
        "m": markup,
        "a": " Ŵalongozgi\nŵambula $1 ",
        "empty": "",
        "sub": {"x": "y"},
    }
    content = json.dumps(value, ensure_ascii=False).encode()
    assert extract(content).arrays[0].to_pylist() == [
        "Bisa vyakulemba vyane\nŴalongozgi ŵambula $1"
    ]


@pytest.mark.parametrize("content", [b"[1]", b"{", b"", b"\xff{}", b"[" * 100_000])
def test_messages_what_is_no_object_is_a_fault(content: bytes) -> None:
    found = extract(content)
    assert found.arrays[0].to_pylist() == [None]
    assert len(found.faults) == 1
