"""Records: appended, never overwritten, read back in order."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from phloem.catalog import records as module
from phloem.catalog.records import append, records
from phloem.catalog.store import Store


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(tmp_path if request.param == "local" else f"memory://{uuid.uuid4().hex}")


def test_append_records_are_read_back_in_order_and_by_kind(store: Store) -> None:
    assert records(store) == []
    names = [append(store, "released", {"number": n, "who": "أمينة"}) for n in range(3)]
    append(store, "taken_down", {"why": "asked"})
    assert [record["number"] for record in records(store, "released")] == [0, 1, 2]
    assert [record["kind"] for record in records(store)] == ["released"] * 3 + ["taken_down"]
    assert len(set(names)) == 3
    assert all(name.startswith("records/2") and "Z-released-" in name for name in names)


class _Stopped(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime(2026, 1, 2, tzinfo=tz or UTC)


def test_append_never_overwrites(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "datetime", _Stopped)
    name = append(store, "released", {"release": "first"})
    store.write_bytes(name, b"{}")
    with pytest.raises(FileExistsError):
        append(store, "released", {"release": "first"})
    assert store.read_bytes(name) == b"{}"


@pytest.mark.parametrize(
    ("kind", "value"), [("../x", {}), ("", {}), ("a", {"time": 1}), ("a", {"kind": 1})]
)
def test_append_refuses_bad_kinds_and_values(tmp_path: Path, kind: str, value: Any) -> None:
    with pytest.raises(ValueError, match="kind and time are added"):
        append(Store(tmp_path), kind, value)
    assert not (tmp_path / "records").exists()


def test_records_cut_short_are_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_bytes("records/20260102T000000Z-released-00000000.json", b'{"kind":')
    with pytest.raises(ValueError, match=r"Z-released-00000000\.json is no JSON"):
        records(store)
