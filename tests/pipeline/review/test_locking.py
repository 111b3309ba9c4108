"""Locking: what is brought to be hashed is in the root for whoever reads it next."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml
from tiny_workspace import CARD, make_workspace
from unguarded import unguard
from web_host import Page, running

from phloem.catalog.store import Store
from phloem.pipeline.registry.fetch import readings
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.review.locking import lock
from phloem.pipeline.review.sample import sample
from phloem.pipeline.workspace import load_workspace

BODY = '{"text": "Kila mtu ana haki ya kuishi."}\n' * 20


def test_what_is_locked_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unguard(monkeypatch)  # a child knows no host of this machine
    folder = make_workspace(tmp_path / "workspace")
    store = Store(str(tmp_path / "root"))
    with running(monkeypatch) as host:
        host.pages["/a.jsonl"] = Page(BODY.encode())
        url = f"{host.address}/a.jsonl"
        said = yaml.safe_load(CARD.replace("NAME", "web").replace("PATH", "x"))
        said["access"] = {"connector": "http", "params": {"urls": [url]}}
        (folder / "cards" / "web.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")
        workspace = load_workspace(folder)
        assert list(lock(workspace, ["web"], store)) != []
        asked = host.paths()
        assert asked.count("/a.jsonl") == 1
        registry = load_registry(workspace)
        card, pin = registry.cards["web"], registry.pins["web"]
        sha256 = hashlib.sha256(BODY.encode()).hexdigest()
        assert store.read_bytes(f"fetched/{sha256}") == BODY.encode()
        (read,), skipped = readings(
            store,
            [card],
            {"web": pin},
            own=registry.own,
            skip_unavailable=False,
            told=pytest.fail,
        )
        assert (list(read.files), skipped) == (["a.jsonl"], {})
        assert host.paths() == asked


def test_sample_of_a_fetched_file_that_changed_fetches_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unguard(monkeypatch)
    folder = make_workspace(tmp_path / "workspace")
    store = Store(str(tmp_path / "root"))
    with running(monkeypatch) as host:
        host.pages["/a.jsonl"] = Page(BODY.encode())
        said = yaml.safe_load(CARD.replace("NAME", "web").replace("PATH", "x"))
        url = f"{host.address}/a.jsonl"
        said["access"] = {"connector": "http", "params": {"urls": [url]}}
        (folder / "cards" / "web.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")
        workspace = load_workspace(folder)
        list(lock(workspace, ["web"], store))
        registry = load_registry(workspace)
        name = f"fetched/{registry.pins['web'].files[0].sha256}"
        lines: list[str] = []
        for _ in range(2):  # the second time where its parts begin is known
            store.write_bytes(name, BODY.upper().encode())
            found = sample(store, registry, workspace, registry.cards["web"], told=lines.append)
            assert (found.read, store.read_bytes(name)) == (20, BODY.encode())
    assert [line.partition(" (")[0] for line in lines] == [
        "a.jsonl is not what was fetched",
        f"fetched web {registry.pins['web'].version}",
    ] * 2
