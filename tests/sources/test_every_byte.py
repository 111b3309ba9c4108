"""Every reader accounts for every byte: what it read, and from where on it did not."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from file_kinds import KINDS, TEXTS, Kind, read, starts, unread, whole_texts

from phloem.sources.connector import Fault
from phloem.sources.connectors import files
from phloem.sources.limits import Limits


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_whole_file_gives_all_its_texts(tmp_path: Path, kind: Kind) -> None:
    found = whole_texts(kind, tmp_path)
    assert len(found) == (1 if kind.name.startswith("whole") else len(TEXTS))
    assert all(text in held for text, held in zip(TEXTS, found, strict=False))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_file_that_is_cut_is_read_up_to_what_is_told_as_unread(tmp_path: Path, kind: Kind) -> None:
    content, texts, begins = kind.content, whole_texts(kind, tmp_path), starts(kind)
    ends = {sum(map(len, kind.pieces[:number])) for number in range(len(kind.pieces))}
    drawn = random.Random(kind.name).sample(range(1, len(content)), 40)  # noqa: S311 - no secret
    for size in sorted({*drawn, *range(len(content) - 30, len(content)), *begins[1:-1]}):
        found, faults = read(kind, content[:size], tmp_path)
        place = unread(kind, faults, size)
        told = sum(fault.records for fault in faults)
        # What was read is what stands there, up to the cut.
        if found != texts[: len(found)]:
            assert not kind.ended
            assert found[:-1] == texts[: len(found) - 1]
            assert texts[len(found) - 1].startswith(found[-1].rstrip("\ufffd\n"))
            assert not kind.exact or found[-1].strip() == texts[len(found) - 1].strip()
        # All records that are whole before the place were read, and all that begin were met.
        end = size if place is None else place
        assert len(found) >= sum(stop <= end for stop in begins[1:])
        if place is None:
            assert len(found) + told >= sum(at < size for at in begins[:-1])
            assert not kind.ended or size in ends or told == len(texts) == 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_file_with_damage_loses_no_record_without_telling(tmp_path: Path, kind: Kind) -> None:
    content, texts, begins = kind.content, whole_texts(kind, tmp_path), starts(kind)
    draw = random.Random(kind.name)  # noqa: S311 - no secret
    for _ in range(60):
        at, lost = draw.randrange(len(content)), draw.choice([0, 1, 4, 700])
        new = draw.randbytes(draw.choice([0, 1, 4]))
        changed = content[:at] + new + content[at + lost :]
        found, faults = read(kind, changed, tmp_path)
        place = unread(kind, faults, len(changed))
        told = sum(fault.records for fault in faults)
        if not begins:
            assert place is not None or len(found) + told >= len(texts) or not kind.ended
            continue
        hit = {
            number
            for number, (start, stop) in enumerate(pairwise(begins))
            if start <= at + lost and at <= stop
        }
        held = "\n".join(found)
        missing = [n for n, text in enumerate(texts) if text not in held and n not in hit]
        if place is None:
            assert told >= len(missing)
        else:  # all that is whole before the place was read
            assert [n for n in missing if begins[n + 1] <= min(place, at)] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_file_behind_another_is_read_or_told(tmp_path: Path, kind: Kind) -> None:
    texts = whole_texts(kind, tmp_path)
    found, faults = read(kind, kind.content + kind.content, tmp_path)
    place = unread(kind, faults, 2 * len(kind.content))
    assert (place is None) == kind.joined
    if kind.joined:
        assert faults == []
        assert len(found) >= 2 * len(texts) or len(texts) == 1
        assert set(texts) <= set(found) or len(texts) == 1
    found, faults = read(kind, kind.content + b"\x01\x02 no record", tmp_path)
    assert faults or not kind.exact


def test_file_that_grows_or_shrinks_while_it_is_read_is_told(tmp_path: Path) -> None:
    for kind in KINDS[:3]:
        path = tmp_path / kind.name
        for changed in (kind.content * 2, b"".join(kind.pieces[:-4])):
            path.write_bytes(kind.content)
            params = files.Params(path=str(path))
            pin = files.resolve(params)
            fetched = files.fetch(params, pin, tmp_path)
            (split,) = files.splits(params, pin, fetched)
            path.write_bytes(changed)
            faults = [
                each
                for each in files.read(params, split, fetched, Limits())
                if isinstance(each, Fault)
            ]
            assert [(fault.offset, fault.rest, fault.file) for fault in faults] == [
                (min(len(changed), len(kind.content)), True, kind.name)
            ]


def test_file_that_is_written_while_it_is_read_is_told(tmp_path: Path) -> None:
    """Though it has as many bytes as before."""
    for kind in KINDS[:3]:
        path = tmp_path / kind.name
        path.write_bytes(kind.content)
        params = files.Params(path=str(path))
        pin = files.resolve(params)
        fetched = files.fetch(params, pin, tmp_path)
        (split,) = files.splits(params, pin, fetched)
        found = files.read(params, split, fetched, Limits())
        assert isinstance(next(found), pa.RecordBatch)
        path.write_bytes(kind.content[::-1])
        assert list(found)[-1] == Fault(
            None, 0, "file that was written while it was read", rest=True, file=kind.name
        )
