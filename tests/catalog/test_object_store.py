"""The root on an S3 that fails now and then: what is read and written is whole, or an error."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import traceback
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.registry import _registry
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.s3.models import s3_backends
from object_store import (
    DENIED,
    ERROR_500,
    KEY,
    SECRET,
    SLOW_DOWN,
    Fault,
    ObjectStore,
    after,
    cut_body,
    cut_upload,
    serving,
)
from s3fs import S3FileSystem

from phloem.catalog.records import append, records
from phloem.catalog.store import MissingError, RootError, Store, StoreError
from phloem.catalog.withheld import masked

TEXT = "Phloem, الغربال, ไหม, हिन्दी, 漢字, 😀\n".encode()
ONCE = {
    "error 500": ERROR_500,
    "slow down": SLOW_DOWN,
    "connection lost": cut_upload,
    "slow": after(0.4, ERROR_500),
}
ALWAYS = 1000


@pytest.fixture(scope="module")
def s3() -> Iterator[ObjectStore]:
    with serving() as server:
        yield server


@pytest.fixture
def store(s3: ObjectStore) -> Iterator[Store]:
    yield Store(s3.root())
    s3.faults.clear()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """One attempt of botocore's for each of s3fs's."""
    once = {"config_kwargs": {"retries": {"total_max_attempts": 1}}}
    monkeypatch.setitem(fsspec.config.conf, "s3", once)


@pytest.mark.parametrize("fault", ONCE.values(), ids=ONCE)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_read_after_a_fault_is_whole(
    s3: ObjectStore, store: Store, method: str, fault: Fault
) -> None:
    store.write_bytes("a/file", TEXT)
    planned = s3.fail(method, "/a/file", fault)
    assert store.open("a/file").read() == TEXT
    assert planned.met == 1


@pytest.mark.parametrize("fault", ONCE.values(), ids=ONCE)
def test_write_after_a_fault_is_whole(s3: ObjectStore, store: Store, fault: Fault) -> None:
    planned = s3.fail("PUT", "/a/file", fault)
    store.write_bytes("a/file", TEXT * 10_000)
    assert store.read_bytes("a/file") == TEXT * 10_000
    assert planned.met == 1


def test_body_cut_short_is_asked_for_again(s3: ObjectStore, store: Store) -> None:
    store.write_bytes("a/file", TEXT * 100)
    for read in (store.read_bytes, lambda name: store.open(name).read()):
        planned = s3.fail("GET", "/a/file", cut_body)
        assert read("a/file") == TEXT * 100
        assert planned.met == 1
    planned = s3.fail("GET", "/a/file", cut_body)
    assert store.sha256("a/file") == hashlib.sha256(TEXT * 100).hexdigest()
    assert planned.met == 1


@pytest.mark.parametrize(
    ("method", "fault"), [("GET", cut_body), ("GET", DENIED), ("HEAD", ERROR_500), ("HEAD", DENIED)]
)
def test_read_that_never_succeeds_is_an_error_and_no_answer(
    s3: ObjectStore, store: Store, impatient: None, method: str, fault: Fault
) -> None:
    store = Store(store.root)
    store.write_bytes("a/file", TEXT)
    s3.fail(method, "/a/file", fault, ALWAYS)
    with pytest.raises(StoreError, match=r"did not let a/file be read: .*; see to the connection"):
        store.open("a/file")
    with pytest.raises(StoreError, match="did not let a/file be read"):
        store.local_path("a/file")
    assert not list(_cached())


def _cached() -> Iterator[Path]:
    return (Path(os.environ["TMPDIR"]) / f"phloem-{os.getuid()}").glob("*")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_exists_says_no_only_where_the_store_says_so(
    s3: ObjectStore, store: Store, impatient: None
) -> None:
    store = Store(store.root)
    assert not store.exists("a")
    store.write_bytes("a/file", TEXT)
    assert store.exists("a")
    s3.fail("HEAD", "/a/file", DENIED, ALWAYS)
    with pytest.raises(StoreError, match="Forbidden"):
        store.exists("a/file")


def test_write_that_fails_leaves_nothing_and_may_be_done_again(
    s3: ObjectStore, store: Store, impatient: None
) -> None:
    store = Store(store.root)
    s3.fail("PUT", "/a/file", cut_upload, ALWAYS)
    with pytest.raises(StoreError, match="did not let a/file be written"):
        store.write_bytes("a/file", TEXT * 10_000)
    s3.faults.clear()
    assert not store.exists("a/file")
    assert store.list("a") == []
    store.write_bytes("a/file", TEXT)
    assert store.read_bytes("a/file") == TEXT


def test_large_file_is_sent_in_parts_that_show_only_together(
    s3: ObjectStore, store: Store, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    least = 5 * 2**20  # of a part, for S3; else it is 50 MiB
    monkeypatch.setattr("s3fs.core.calculate_chunksize", lambda size, chunksize: least)
    store = Store(store.root)
    piece = os.urandom(2**20)
    s3.fail("PUT", r"partNumber=2", ERROR_500, ALWAYS)
    with pytest.raises(StoreError, match="did not let a/file be written"):
        _write(store, piece, 11)
    assert not store.exists("a/file")
    assert [path for method, path in s3.requests if method == "DELETE" and "uploadId" in path]
    s3.faults.clear()
    whole = _write(store, piece, 11)
    assert store.size("a/file") == 11 * 2**20
    assert store.sha256("a/file") == whole
    assert any("partNumber=3" in path for _, path in s3.requests)


def _write(store: Store, piece: bytes, times: int) -> str:
    with store.create("a/file") as out:
        for _ in range(times):
            out.write(piece)
    return out.sha256


def test_list_and_exists_see_what_others_do(s3: ObjectStore, store: Store) -> None:
    other = fsspec.filesystem("s3", skip_instance_cache=True)
    assert store.list("a") == []
    other.pipe_file(f"{store.root}/a/first", b"1")
    assert store.list("a") == ["a/first"]
    assert not store.exists("a/second")
    other.pipe_file(f"{store.root}/a/second", b"22")
    assert store.list("a") == ["a/first", "a/second"]
    assert store.size("a/second") == 2
    other.pipe_file(f"{store.root}/a/second", b"333")
    assert store.size("a/second") == 3
    other.rm_file(f"{store.root}/a/first")
    assert store.list("a") == ["a/second"]
    assert not store.exists("a/first")


def test_list_has_what_is_right_below_and_no_folder_marker(store: Store) -> None:
    for name in ("a/b/c", "a/d", "aa/e"):
        store.write_bytes(name, b"")
    store.fs.pipe_file(store.path("a/"), b"")
    assert store.list("a") == ["a/b", "a/d"]
    assert store.list("a/d") == []


def test_list_goes_on_after_its_first_thousand(store: Store) -> None:
    bucket, prefix = store.path("many").split("/", 1)
    for number in range(1003):
        s3_backends[ACCOUNT]["aws"].put_object(bucket, f"{prefix}/{number:04d}", b"")
    assert store.list("many") == [f"many/{n:04d}" for n in range(1003)]
    store.delete("many")
    assert store.list("many") == []


def test_open_holds_a_piece_at_a_time_and_leaves_no_file(
    s3: ObjectStore, store: Store, tmp_path: Path
) -> None:
    data = os.urandom(20 * 2**20)
    store.write_bytes("a/file", data)
    s3.requests.clear()
    opened = store.open("a/file")
    assert s3.counted() == {"GET": 3, "HEAD": 1}
    assert list(tmp_path.iterdir()) == []
    assert opened.read() == data
    opened.close()


KILLED = {
    "written": "with store.create('a/other') as out:\n    out.write(text)\n    os.kill(0, 9)",
    "sent": "store.fs.put_file = lambda *_: os.kill(0, 9)\nstore.write_bytes('a/other', text)",
    "fetched": "store._pieces = lambda *_: iter([text, os.kill(0, 9)])\nstore.open('a/file')",
    "read": "opened = store.open('a/file')\nassert opened.read() == text\nos.kill(0, 9)",
}


@pytest.mark.parametrize("script", KILLED.values(), ids=KILLED)
def test_process_killed_with_a_file_leaves_no_copy(
    store: Store, tmp_path: Path, script: str
) -> None:
    store.write_bytes("a/file", TEXT)
    code = (
        "import os, sys\nfrom phloem.catalog.store import Store\n"
        f"store, text = Store(sys.argv[1]), {TEXT!r}\n{script}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, store.root], check=False, start_new_session=True
    )
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
    assert store.list("a") == ["a/file"]


def test_open_of_an_empty_file_reads_nothing(store: Store) -> None:
    store.write_bytes("a/file", b"")
    assert store.open("a/file").read() == b""


def test_local_path_copies_once_until_the_file_changes(s3: ObjectStore, store: Store) -> None:
    store.write_bytes("a/file", TEXT)
    path = store.local_path("a/file")
    s3.requests.clear()
    assert store.local_path("a/file") == path
    assert s3.counted() == {"HEAD": 1}
    store.write_bytes("a/file", TEXT * 2)
    assert Path(store.local_path("a/file")).read_bytes() == TEXT * 2
    assert Path(path).read_bytes() == TEXT


def test_read_bytes_and_write_bytes_take_one_request_each(s3: ObjectStore, store: Store) -> None:
    s3.requests.clear()
    store.write_bytes("a/file", TEXT)
    store.read_bytes("a/file")
    assert s3.counted() == {"GET": 1, "PUT": 1}


def test_delete_takes_a_folder_and_no_neighbour(store: Store) -> None:
    for name in ("a/b/c", "a/b/d/e", "a/bb", "a/f"):
        store.write_bytes(name, b"1")
    store.delete("a/b")
    store.delete("a/never")
    store.delete("a/f")
    assert store.list("a") == ["a/bb"]


def test_append_whose_answer_was_lost_is_no_conflict(s3: ObjectStore, store: Store) -> None:
    def lost(environ, start_response):
        list(s3.moto(environ, lambda *_: None))
        raise ConnectionResetError

    planned = s3.fail("PUT", "/records/", lost)
    name = append(store, "released", {"who": "أمينة"})
    assert planned.met == 1
    assert [record["who"] for record in records(store)] == ["أمينة"]
    with pytest.raises(FileExistsError):
        store.write_new(name, b"{}")


def test_server_that_hangs_is_an_error_after_four_attempts(
    s3: ObjectStore, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"read_timeout": 0.3, "retries": {"total_max_attempts": 1}}
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": limits})
    store = Store(store.root)
    hanging = s3.fail("GET", "/a/file", after(0.6, ERROR_500), ALWAYS)
    with pytest.raises(StoreError, match="Read timeout on endpoint URL"):
        store.read_bytes("a/file")
    assert hanging.met == 4


def test_server_that_is_gone_is_an_error_of_one_line(
    s3: ObjectStore, store: Store, impatient: None
) -> None:
    store = Store(store.root)
    store.write_bytes("a/file", TEXT)
    s3.stop()
    try:
        for ask in (store.read_bytes, store.exists, store.list, store.delete, store.local_path):
            with pytest.raises(StoreError, match="Could not connect") as caught:
                ask("a/file")
            assert "\n" not in str(caught.value)
    finally:
        s3.start()
    assert store.read_bytes("a/file") == TEXT


def test_missing_bucket_is_said_when_it_is_written_to(store: Store) -> None:
    store = Store(f"s3://phloem-none-{uuid.uuid4().hex}/root")
    assert not store.exists("")
    with pytest.raises(MissingError):
        store.read_bytes("a")
    with pytest.raises(StoreError, match="bucket does not exist"):
        store.write_bytes("a", TEXT)
    with pytest.raises(StoreError, match="bucket does not exist"):
        append(store, "released", {})


def test_no_error_holds_a_credential(s3: ObjectStore, store: Store, impatient: None) -> None:
    store = Store(store.root)
    s3.fail("GET", "/a/file", DENIED, ALWAYS)
    s3.fail("PUT", "/a/file", ERROR_500, ALWAYS)
    told = []
    for ask in (store.read_bytes, lambda name: store.write_bytes(name, TEXT)):
        with pytest.raises(StoreError) as caught:
            ask("a/file")
        told += traceback.format_exception(caught.value)
    assert len(told) > 2
    assert not [line for line in told if SECRET in line or KEY in line]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("AWS_ACCESS_KEY_ID", "AKIASOMEBODYELSES000", "Key Id you provided does not exist"),
        ("AWS_SECRET_ACCESS_KEY", "guessed", "signature we calculated does not match"),
    ],
)
def test_store_that_checks_signatures_refuses_a_wrong_one(
    store: Store, s3: ObjectStore, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setattr(s3, "signed", True)
    store.write_bytes("a/ü +=&%2F.txt", TEXT)
    assert [store.read_bytes(each) for each in store.list("a")] == [TEXT]
    monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreError, match=told):
        Store(store.root).read_bytes("a/file")
    monkeypatch.undo()
    S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize(
    "url",
    [
        f"s3://{KEY}:{SECRET}@bucket/root",
        "sftp://me:hunter2@host/root",
        "simplecache::s3://a:hunter2@b/c",
    ],
)
def test_root_with_a_password_is_refused_without_it(url: str) -> None:
    with pytest.raises(RootError, match=r"://\*\*\*@.*cannot be opened") as caught:
        Store(url)
    told = "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in (KEY, SECRET, "hunter2") if secret in told]


@pytest.mark.parametrize(
    "text", ["hdfs://host:9000/a@b", "s3://bucket/a@b", "sftp://me@host/x", "/a:b@c", "C:/x@y"]
)
def test_masked_leaves_other_urls_alone(text: str) -> None:
    assert masked(text) == text


def test_masked_hides_a_proxy_s_password_in_a_message() -> None:
    told = masked("Failed to connect to proxy URL: http://me:p/w@proxy:3128 or http://host:1/a@b")
    assert told == "Failed to connect to proxy URL: http://***@proxy:3128 or http://host:1/a@b"


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(_registry, "s3", raising=False)
    with pytest.raises(RootError, match=r"s3fs is not installed; `.*requirements-s3.lock`"):
        Store("s3://bucket/root")


@pytest.mark.parametrize("url", ["s3://", "s3:///"])
def test_root_without_a_bucket_is_refused(url: str) -> None:
    with pytest.raises(RootError, match="names no bucket"):
        Store(url)
