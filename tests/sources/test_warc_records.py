"""Records of web archives whose lengths lie or whose members break: what is lost is told."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from phloem.sources.connector import Fault
from phloem.sources.formats import read_warc
from phloem.sources.formats.read_warc import Pages
from phloem.sources.limits import Limits

Found = tuple[dict[str, bytes], list[Fault]]
ANOTHER = "record of another length than it says"


def record(
    number: int,
    body: bytes | None = None,
    *,
    kind: str = "response",
    longer: int = 0,
    field: str = "Content-Length",
) -> bytes:
    """A record whose length is so much more than it is."""
    body = f"<p>page {number} of ทุกคน</p>".encode() if body is None else body
    if kind == "response":
        body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://ex.org/{number}\r\n"
        f"WARC-Date: 2024-01-01T00:00:00Z\r\n{field}: {max(0, len(body) + longer)}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


def read(
    folder: Path, content: bytes, name: str = "a.warc", kind: str = "warc", **more: int
) -> Found:
    """The pages of an archive by their number, and its faults."""
    (folder / name).write_bytes(content)
    found = list(read_warc.warc(name, str(folder / name), Pages(kind), Limits(**more)))
    rows = [row for batch in found if not isinstance(batch, Fault) for row in batch.to_pylist()]
    faults = [each for each in found if isinstance(each, Fault)]
    return {row["native_id"].rpartition("/")[2]: row["content"] for row in rows}, faults


def told(faults: list[Fault]) -> list[tuple[str | None, int, str, bool]]:
    return [(fault.native_id, fault.offset, fault.reason, fault.rest) for fault in faults]


ONE, TWO, THREE = record(1), record(2), record(3)
HUGE = 10**12


@pytest.mark.parametrize("longer", [30, 10**6, HUGE, -5, -HUGE])
@pytest.mark.parametrize("ends", [b"\r\n", b"\n"])
def test_page_of_another_length_is_a_fault_and_the_next_is_read(
    tmp_path: Path, longer: int, ends: bytes
) -> None:
    archive = [r.replace(b"\r\n", ends) for r in (ONE, record(2, longer=longer), THREE)]
    if ends == b"\n":  # the head of the page is three bytes shorter
        archive = [
            _resized(r, -3) if number != 1 or abs(longer) < HUGE else r
            for number, r in enumerate(archive)
        ]
    pages, faults = read(tmp_path, b"".join(archive))
    assert list(pages) == ["1", "3"]
    assert told(faults) == [("http://ex.org/2", len(archive[0]), ANOTHER, True)]


def _resized(made: bytes, by: int) -> bytes:
    before, _, after = made.partition(b"Content-Length: ")
    size, _, rest = after.partition(b"\n")
    return before + b"Content-Length: %d\n" % (int(size) + by) + rest


@pytest.mark.parametrize("kind", ["request", "warcinfo", "metadata", "of-tomorrow"])
@pytest.mark.parametrize("longer", [30, 10**6, HUGE, -2])
def test_record_that_is_not_wanted_hides_no_page(tmp_path: Path, kind: str, longer: int) -> None:
    lying = record(9, b"GET / HTTP/1.1\r\nHost: ex.org", kind=kind, longer=longer)
    pages, faults = read(tmp_path, ONE + lying + TWO + THREE)
    assert list(pages) == ["1", "2", "3"]
    assert told(faults) == [(None, len(ONE), ANOTHER, True)]
    text = record(2, b"text two", kind="conversion")
    pages, faults = read(tmp_path, lying + text, kind="wet")
    assert (list(pages), [fault.rest for fault in faults]) == (["2"], [True])


@pytest.mark.parametrize("kind", ["response", "request"])
def test_record_that_ends_where_another_does_is_no_page_and_stands_for_a_rest(
    tmp_path: Path, kind: str
) -> None:
    lying = record(9, b"GET /", kind=kind, longer=len(TWO) + 4)
    pages, faults = read(tmp_path, ONE + lying + TWO + THREE)
    assert list(pages) == ["1", "3"]
    assert [(fault.reason, fault.rest) for fault in faults] == [("record that hides another", True)]


def test_archive_cut_in_a_record_of_any_kind_says_so(tmp_path: Path) -> None:
    for last in (TWO, record(2, b"GET / HTTP/1.1\r\n\r\n", kind="request")):
        for cut in range(5, len(last)):
            pages, faults = read(tmp_path, ONE + last[:-cut])
            assert list(pages) == ["1"]
            assert [(fault.offset, fault.rest) for fault in faults] == [(len(ONE), True)]


@pytest.mark.parametrize("field", ["content-length", "CONTENT-LENGTH", "Content-length"])
def test_names_of_fields_have_no_case(tmp_path: Path, field: str) -> None:
    pages, faults = read(tmp_path, record(1, field=field) + TWO)
    assert (list(pages), faults) == (["1", "2"], [])
    lower = TWO.replace(b"WARC-Type", b"warc-type").replace(b"WARC-Target-URI", b"Warc-Target-Uri")
    assert read(tmp_path, ONE + lower)[0].keys() == {"1", "2"}


def test_what_is_no_record_is_a_fault_and_the_next_is_read(tmp_path: Path) -> None:
    for between in (
        b"garbage line\r\n\r\n",
        b"WARC/1.0\r\nWARC-Type: response\r\n\r\n",
        b"WARC/1.0\r\nContent-Length: -1\r\n\r\n",
        b"WARC/1.0\r\nX: " + b"y" * 2**19 + b"\r\n\r\n",
        b"\0" * 2**21 + b"\n",
    ):
        pages, faults = read(tmp_path, ONE + between + TWO)
        assert list(pages) == ["1", "2"]
        assert told(faults) == [(None, len(ONE), "broken WARC header", True)]


def test_page_over_the_limit_is_one_record_if_it_ends_where_it_says(tmp_path: Path) -> None:
    large = record(2, b"x" * 3_000_000)
    pages, faults = read(tmp_path, ONE + large + THREE, record_bytes=2000)
    assert list(pages) == ["1", "3"]
    reason = "record larger than 2000 bytes (limits.record_bytes)"
    assert told(faults) == [("http://ex.org/2", len(ONE), reason, False)]


ZSTD = zstandard.ZstdCompressor(write_checksum=True)
PACKS: dict[str, Callable[[list[bytes]], bytes]] = {
    "a.warc": b"".join,
    "whole.warc.gz": lambda made: gzip.compress(b"".join(made), mtime=0),
    "a.warc.gz": lambda made: b"".join(gzip.compress(each, mtime=0) for each in made),
    "a.warc.zst": lambda made: b"".join(
        map(zstandard.ZstdCompressor(write_checksum=True).compress, made)
    ),
}


@pytest.mark.parametrize("name", ["a.warc.gz", "a.warc.zst"])
def test_member_that_breaks_costs_its_own_records_alone(tmp_path: Path, name: str) -> None:
    made = [record(n, f"{n} {n**40} ทุกคน".encode() * 40) for n in range(6)]
    members = [PACKS[name]([each]) for each in made]
    at = sum(map(len, members[:2]))
    for place in range(12, len(members[2]) - 9):
        broken = bytearray(members[2])
        broken[place] ^= 0xFF
        pages, faults = read(tmp_path, b"".join([*members[:2], broken, *members[3:]]), name)
        if "2" in pages:  # zstd checks the whole of a frame only
            assert pages["2"] == f"{2} {2**40} ทุกคน".encode() * 40
        assert [n for n in pages if n != "2"] == ["0", "1", "3", "4", "5"]
        assert [fault.rest for fault in faults][:1] == [True]
        assert any(at <= fault.offset <= at + len(members[2]) for fault in faults)


@settings(max_examples=300, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(["response", "request", "metadata"]), min_size=1, max_size=6),
    hit=st.integers(0, 5),
    longer=st.integers(-400, 1200) | st.sampled_from([HUGE, 10**6]),
    name=st.sampled_from(list(PACKS)),
)
def test_no_length_that_lies_loses_a_page_without_telling(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], hit: int, longer: int, name: str
) -> None:
    hit %= len(kinds)
    right = [f"<p>page {n} 人人生而自由</p>".encode() for n in range(len(kinds))]
    made = [
        record(n, right[n], kind=kind, longer=longer if n == hit else 0)
        for n, kind in enumerate(kinds)
    ]
    pages, faults = read(tmp_path_factory.mktemp("lies"), PACKS[name](made), name)
    wanted = {str(n) for n, kind in enumerate(kinds) if kind == "response"}
    for number, content in pages.items():
        assert b"WARC/1." not in content
        assert content.rstrip(b"\r\n") == right[int(number)]
    lost = wanted - pages.keys()
    hides = any(fault.reason == "record that hides another" for fault in faults)
    assert hides or lost <= {str(hit)}
    assert not lost or any(fault.rest for fault in faults)
