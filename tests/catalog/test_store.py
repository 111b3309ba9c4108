"""The root: whole files or none, on a local disk and on any other file system."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from phloem.catalog.commits import forget
from phloem.catalog.store import MissingError, Store

TEXT = "Phloem, الغربال, ไหม, हिन्दी, 漢字, 😀\n".encode()


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(tmp_path / "root" if request.param == "local" else f"memory://{uuid.uuid4().hex}")


def _write_half(store: Store, name: str, error: BaseException, beside: str = "") -> None:
    with store.create(name) as out:
        out.write(b"half")
        if beside:
            store.write_bytes(beside, b"whole")
        raise error


def test_write_bytes_reads_back_with_size_and_hash(store: Store) -> None:
    digest = store.write_bytes("a/b/c.txt", TEXT)
    assert digest == hashlib.sha256(TEXT).hexdigest() == store.sha256("a/b/c.txt")
    assert store.read_bytes("a/b/c.txt") == TEXT
    assert store.size("a/b/c.txt") == len(TEXT)
    assert store.open("a/b/c.txt").read() == TEXT
    assert Path(store.local_path("a/b/c.txt")).read_bytes() == TEXT


def test_create_failing_midway_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError):
        _write_half(store, "a/part.bin", RuntimeError())
    assert not store.exists("a/part.bin")
    assert store.list("a") == []


def test_create_failing_midway_keeps_the_old_file(store: Store) -> None:
    store.write_bytes("a/file", b"old")
    with pytest.raises(KeyboardInterrupt):
        _write_half(store, "a/file", KeyboardInterrupt())
    assert store.read_bytes("a/file") == b"old"
    assert store.list("a") == ["a/file"]


def test_create_two_side_by_side_when_one_fails_keeps_only_the_other(store: Store) -> None:
    with pytest.raises(RuntimeError):
        _write_half(store, "a/first", RuntimeError(), beside="a/second")
    assert store.list("a") == ["a/second"]
    assert store.read_bytes("a/second") == b"whole"


def test_create_is_not_seen_before_its_block_ends(store: Store) -> None:
    with store.create("a/file") as out:
        out.write(b"all of it")
        assert not store.exists("a/file")
    assert (out.bytes, out.sha256) == (9, hashlib.sha256(b"all of it").hexdigest())


def test_list_is_sorted_and_empty_where_nothing_is(store: Store) -> None:
    for name in ("z", "a", "m"):
        store.write_bytes(f"folder/{name}", b"")
    assert store.list("folder") == ["folder/a", "folder/m", "folder/z"]
    assert store.list("nowhere") == []


def test_missing_names_the_root_and_the_file(store: Store) -> None:
    for ask in (store.read_bytes, store.size, store.open, store.local_path, store.sha256):
        with pytest.raises(MissingError, match=r"holds no gone/file"):
            ask("gone/file")


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/etc/passwd"])
def test_path_leaving_the_root_is_refused(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="leaves the root"):
        store.path(name)


def test_delete_takes_a_folder_and_nothing_else(store: Store) -> None:
    store.write_bytes("a/b/c", b"1")
    store.write_bytes("a/d", b"2")
    store.delete("a/b")
    store.delete("a/never")
    assert not store.exists("a/b/c")
    assert store.read_bytes("a/d") == b"2"


@pytest.mark.parametrize("name", ["", ".", "./", "/", "//", "./."])
def test_delete_never_takes_the_root(store: Store, name: str) -> None:
    store.write_bytes("a", b"1")
    with pytest.raises(ValueError, match="root"):
        store.delete(name)
    assert store.read_bytes("a") == b"1"


@pytest.mark.parametrize("is_folder", [False, True])
def test_delete_of_a_link_takes_nothing_behind_it(tmp_path: Path, is_folder: bool) -> None:
    store, mine = Store(tmp_path / "root"), tmp_path / "mine"
    store.write_bytes("a", b"1")
    (mine / "more").mkdir(parents=True)
    (mine / "x").write_bytes(b"2")
    link = tmp_path / "root" / "link"
    link.symlink_to(mine if is_folder else mine / "x")
    store.delete("link")
    assert not link.is_symlink()
    assert (mine / "x").read_bytes() == b"2"
    assert (mine / "more").is_dir()


def test_forget_takes_manifests_of_commits_and_nothing_else(tmp_path: Path) -> None:
    """A root may be a folder that holds other things too, and a folder `commits` of somebody's."""
    store, key = Store(tmp_path), "0" * 32
    for name in (f"{key}.json", f"{key}-1-of-2.json", "mine.json", f"{key}.txt", f"{key}/a.json"):
        store.write_bytes(f"commits/{name}", b"{}")
    forget(store)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"commits/mine.json", f"commits/{key}.txt", f"commits/{key}/a.json"}


def test_free_bytes_is_known_before_the_root_exists(tmp_path: Path) -> None:
    assert (Store(tmp_path / "not" / "yet").free_bytes() or 0) > 0
    assert Store("memory://x").free_bytes() is None


def test_local_path_refuses_a_folder_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(f"memory://{uuid.uuid4().hex}")
    store.write_bytes("model", b"weights")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    uid = os.getuid()
    monkeypatch.setattr("os.getuid", lambda: uid + 1)
    with pytest.raises(PermissionError, match="belongs to somebody else"):
        store.local_path("model")


@pytest.mark.parametrize("url", [None, "memory://elsewhere/root", "s3://bucket/root"])
def test_store_is_set_up_alike_where_it_is_unpickled(tmp_path: Path, url: str | None) -> None:
    """What fsspec pickles of a file system forgets how often to ask, and that nothing is kept."""
    store = Store(url or tmp_path)
    told = "(s.root, s.fs.dircache.use_listings_cache, getattr(s.fs, 'retries', None))"
    code = f"import sys, pickle; s = pickle.load(sys.stdin.buffer); print({told})"
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(store), capture_output=True, check=True
    )
    retries = getattr(store.fs, "retries", None)
    assert done.stdout.decode().strip() == str((store.root, False, retries))


def test_store_copied_names_the_same_root_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("root")
    store.write_bytes("a", TEXT)
    monkeypatch.chdir("/")
    for copied in (copy.copy(store), copy.deepcopy(store)):
        assert copied.read_bytes("a") == TEXT
