"""What a card may open: in the registry what all can have, in a workspace a user's own too."""

from __future__ import annotations

import os
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from web_host import Host, Page, running

from phloem.catalog.policy import LOCAL
from phloem.pipeline.registry.registry import AskedError, Registry, local_registry
from phloem.sources.cards.checks import may_open
from phloem.sources.cards.dossier import CardFile, Dossier
from phloem.sources.cards.source import local_card
from phloem.sources.clients import paths
from phloem.sources.connector import (
    SourceError,
    WrongError,
    barred,
    find_connector,
    require_open,
)
from phloem.sources.connectors import files, http, warc
from phloem.sources.web import addresses

OWN = [
    "/etc/passwd", "file:///etc/passwd", "file:/etc/passwd", "../../../../etc/passwd", "~/.netrc",
    "/etc/pass*", "/proc/self/environ", "/dev/zero", "/dev/stdin", "texts/a.jsonl",
    "./bundled/udhr.jsonl.gz", "BUNDLED/udhr.jsonl.gz", "/a/b::c", "s3://bucket/a.txt",
    "gs://bucket/a.txt", "", "C:\\a.txt", "//host/share/a.txt",
]  # fmt: skip
"""What only a user's own card names."""

PROTOCOLS = [
    "simplecache::/etc/passwd", "simplecache::https://example.org/a.txt",
    "filecache::file:///etc/passwd", "blockcache::s3://bucket/a.txt",
    "reference://x::/tmp/ref.json", "reference:/tmp/ref.json", "zip://x::/etc/a.zip",
    "tar://x::/etc/a.tar", "libarchive://x::/etc/a.7z", "data:text/plain,hello",
    "data:;base64,aGk=", "memory://x/a.txt", "memory:x", "dir::/etc", "generic://file/etc/passwd",
    "ftp://example.org/a.txt", "sftp://example.org/a.txt", "ssh://example.org/a.txt",
    "smb://example.org/c/a.txt", "github://a:b@main/x.txt", "git:///tmp/r:README.md",
    "hdfs://example.org/a.txt", "webhdfs://example.org/a.txt", "dask::/etc/passwd",
    "jupyter://example.org/tree/a.txt", "local:///etc/passwd", "hf://datasets/a/b/x.txt",
    "s3::/etc/passwd", "s3:///etc::passwd", "s3:bucket", "S3://bucket/a.txt", "file::/etc/passwd",
    "gopher://example.org/", "jar:file:///a.jar!/x",
]  # fmt: skip
"""What nobody's card names: other protocols, and chains of any."""

INSIDE = [
    "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]",
    "[fe80::1%25eth0]", "[fec0::1]", "[::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]",
    "2130706433", "0177.0.0.1", "0x7f.1", "0x7F000001", "127.1", "0", "1",
    "017700000001", "localhost", "localhost.", "LOCALHOST", "a.localhost", "127.0.0.1.",
    "\uff11\uff12\uff17.\uff10.\uff10.\uff11", "127\u30020\u30020\u30021",
    "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3", "169.254.169.254", "10.0.0.1",
    "192.168.1.1", "172.16.0.1", "100.64.0.1", "224.0.0.1", "[fc00::1]", "intranet",
    "metadata.google.internal", "printer.local", "router.home.arpa", "a.onion",
]  # fmt: skip
"""Hosts inside somebody's network, as they are written."""

LEAVES = [
    "bundled/../sources.lock", "bundled/../../../etc/passwd", "bundled/../../*.toml",
    "bundled/x/../../y", "bundled/..", "bundled/*/../../x",
]  # fmt: skip


def faults(path: str, *, is_own: bool) -> list[str]:
    return barred(find_connector("files"), files.Params(path=path), is_own=is_own)


@pytest.mark.parametrize("path", OWN)
def test_a_users_own_files_are_for_cards_of_a_workspace(path: str) -> None:
    (told,) = faults(path, is_own=False)
    assert "a card of the registry reads bundled/… and https addresses" in told
    assert faults(path, is_own=True) == []


@pytest.mark.parametrize("path", PROTOCOLS)
def test_other_protocols_and_chains_are_read_for_nobody(path: str) -> None:
    for is_own in (False, True):
        (told,) = faults(path, is_own=is_own)
        assert "by a protocol that is not read, or a chain of them; there are https://" in told
    with pytest.raises(WrongError, match="protocol that is not read"):
        files.resolve(files.Params(path=path))


def test_a_file_of_this_machine_may_be_called_like_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zip::a.txt").write_text("x")
    assert faults("zip::a.txt", is_own=True) == []
    assert faults("zip::a.txt", is_own=False) != []
    assert [file.name for file in files.resolve(files.Params(path="zip::a.txt")).files] == [
        "zip::a.txt"
    ]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("bundled/a**b", "is no pattern"),
        ("bundled/**/[z-a]*", "no file matches"),
        ("bundled/" + "x" * 5000, "File name too long"),
        ("bundled/none\n.txt", "no file matches"),
        ("~nobody.of.this.name/x", "no file matches"),
        ("/" + "*/" * 60, "cannot be listed"),
    ],
)
def test_patterns_that_are_none_are_told_in_a_line(path: str, told: str) -> None:
    with pytest.raises(SourceError, match=told) as error:
        files.resolve(files.Params(path=path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("host", INSIDE)
def test_hosts_inside_a_network_are_told_by_their_names(host: str) -> None:
    url = f"https://{host}/a.txt"
    assert "is no public address" in str(addresses.fault(url))
    for is_own in (False, True):
        assert faults(url, is_own=is_own) == [addresses.fault(url)]
    with pytest.raises(ValidationError, match="is no public address"):
        http.Params(urls=[url])
    with pytest.raises(ValidationError, match="is no public address"):
        warc.Params(urls=[f"http://{host}/a.warc.gz"])


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.txt",
        "https://example.org:8443/a.txt?x=1",
        "https://1.1.1.1/a.txt",
        "https://[2606:4700:4700::1111]/a.txt",
        "https://bücher.example/a.txt",
        "https://localhost.example.org/a.txt",
        "https://preon.iiit.ac.in/~jerin/a.tar",
    ],
)
def test_hosts_of_the_open_network_are_not(url: str) -> None:
    assert addresses.fault(url) is None
    assert faults(url, is_own=False) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org@127.0.0.1/a.txt",
        "https://user:x@example.org/a.txt",
        "https://example.org\\@127.0.0.1/a.txt",
        "https://example.org\\.evil.example/a.txt",
        "https:///a.txt",
        "https://[::1/a.txt",
        "https://example.org:99999/a.txt",
        "https://example.org:0/a.txt",
        "https://example.org/a\nb.txt",
        "https://example.org/a b.txt",
        "HTTPS://127.0.0.1/a.txt",
        "https://example.org/*.txt",
        "https://example.org/a\0.txt",
    ],
)
def test_addresses_that_two_readers_could_take_for_two_are_refused(url: str) -> None:
    for is_own in (False, True):
        assert len(faults(url, is_own=is_own)) == 1


def test_the_registry_reads_files_by_https_alone() -> None:
    assert "is no https address" in faults("http://example.org/a.txt", is_own=False)[0]
    assert faults("http://example.org/a.txt", is_own=True) == []


@pytest.mark.parametrize("path", LEAVES)
def test_bundled_files_are_those_of_their_folder(path: str) -> None:
    for is_own in (False, True):
        (told,) = faults(path, is_own=is_own)
        assert told.startswith(f"{path} leaves the folder bundled/")
    with pytest.raises(WrongError, match="leaves the folder"):
        files.resolve(files.Params(path=path))


def test_bundled_link_that_leads_out_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "_PACKAGE", tmp_path / "package")
    folder = tmp_path / "package" / "bundled"
    folder.mkdir(parents=True)
    (folder / "in.txt").write_text("in")
    (folder / "also.txt").symlink_to("in.txt")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "secret.txt").write_text("out")
    assert len(files.resolve(files.Params(path="bundled/*.txt")).files) == 2
    (folder / "link.txt").symlink_to(tmp_path / "out" / "secret.txt")
    (folder / "deep").symlink_to(tmp_path / "out")
    for path in ("link.txt", "*.txt", "", "deep", "deep/secret.txt", "**/*.txt", "d*/s*"):
        with pytest.raises(WrongError, match="leads out of the folder bundled/"):
            files.resolve(files.Params(path=f"bundled/{path}"))


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (os.mkfifo, "no file but a pipe or device"),
        (_socket, "no file but a pipe or device"),
        (lambda path: path.symlink_to("/dev/zero"), "no file but a pipe or device"),
        (lambda path: path.symlink_to("/proc/self/environ"), "what the system tells of itself"),
        (lambda path: path.symlink_to("/proc"), "what the system tells of itself"),
    ],
    ids=["pipe", "socket", "device", "file of proc", "proc"],
)
def test_what_is_no_file_is_refused_at_once_in_a_workspace_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], told: str
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    make(Path("a.txt"))
    for path in ("a.txt", f"file://{tmp_path}/a.txt", f"{tmp_path}/a.*"):
        with pytest.raises(SourceError, match=told) as error:
            files.resolve(files.Params(path=path, format="txt"))
        assert "\n" not in str(error.value)


def test_lint_tells_cards_of_the_registry_and_not_those_of_a_workspace() -> None:
    card = local_card("/etc/passwd", file_format="txt")
    file = CardFile(Path("local.yaml"), None, card, ())

    def found(**given: Any) -> list[tuple[str, str, str]]:
        connectors = {"files": find_connector("files")}
        return list(may_open.check(Dossier([file], [], connectors, {}, {}, [], None, **given)))  # type: ignore[arg-type]

    ((_, field, message),) = found()
    assert field == "access.params"
    assert message.startswith("/etc/passwd is a user's own file")
    assert found(own=[LOCAL]) == []


def test_input_is_a_users_own_and_held_to_the_same(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("a.txt", "x")
    empty = Registry({}, {}, {}, {}, {})
    assert LOCAL in local_registry(empty, str(tmp_path / "a.zip"), "text", "und").own
    for path in (f"zip://a.txt::{tmp_path}/a.zip", "http://127.0.0.1:9/a.txt", "data:,x"):
        with pytest.raises(AskedError, match=r"not read|no public address"):
            local_registry(empty, path, "text", "und")


def test_every_connector_is_asked_and_most_name_what_all_can_have() -> None:
    card = local_card("/etc/passwd")
    connector = find_connector(card.access.connector)
    with pytest.raises(WrongError, match="a user's own file"):
        require_open(connector, files.Params(path="/etc/passwd"), is_own=False)
    with pytest.raises(WrongError, match=r"a user's own file.*; and 1 more"):
        require_open(connector, files.Params(path=["/etc/passwd", "/etc/group"]), is_own=False)
    assert barred(http, http.Params(urls=["http://example.org/a.txt"]), is_own=False) == []  # type: ignore[arg-type]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with running(monkeypatch) as found:
        yield found


def test_name_that_leads_inside_is_refused_when_it_is_looked_up(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name of the open network may be given any address."""
    host.pages["/a.txt"] = Page(b"x")
    real = socket.getaddrinfo
    monkeypatch.setattr(addresses, "ALLOWED", ())
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, *args, **named: real("127.0.0.1", *args, **named)
    )
    port = host.address.rpartition(":")[2]
    url = f"http://rebound.example.org:{port}/a.txt"
    for connector, params in ((files, files.Params(path=url)), (http, http.Params(urls=[url]))):
        with pytest.raises(SourceError, match=r"127\.0\.0\.1, which is no public address"):
            connector.resolve(params)  # type: ignore[arg-type]
    assert host.asked == []
