"""Whether pins still stand: each state, told without the text, and never of what was not asked."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_host import Host, Page, running

from phloem.sources.clients.standing import standing
from phloem.sources.connector import Pin, PinnedFile
from phloem.sources.connectors import files, http, pypi

BODY = "Kila mtu ana haki ya kuishi: ទាំងអស់.\n".encode()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with running(monkeypatch) as made:
        yield made


def pin_of(*urls: str) -> Pin:
    sha256 = hashlib.sha256(BODY).hexdigest()
    return Pin("1", tuple(PinnedFile(url[-5:], sha256, len(BODY), url) for url in urls))


def test_address_is_asked_for_one_byte_and_its_size_tells(host: Host, tmp_path: Path) -> None:
    url = f"{host.address}/a.txt"
    params = http.Params(urls=[url])

    def became() -> tuple[str, str]:
        found = standing(http, params, pin_of(url), tmp_path)
        return found.state, found.by

    host.pages["/a.txt"] = Page(BODY)
    assert became() == ("ok", "size")
    assert [headers.get("Range") for path, headers in host.asked if path == "/a.txt"] == [
        "bytes=0-0"
    ]
    host.pages["/a.txt"] = Page(BODY, ranges=False)
    assert became() == ("ok", "size")
    host.pages["/a.txt"] = Page(BODY + b"more")
    assert became() == ("changed", "")
    for status, state in ((404, "vanished"), (410, "vanished"), (403, "not asked")):
        host.pages["/a.txt"] = Page(status=status)
        assert became()[0] == state
    host.pages["/a.txt"] = Page(status=503)
    assert became()[0] == "not asked"


def test_host_without_a_name_has_said_nothing(tmp_path: Path) -> None:
    url = "https://nosuch.invalid/a.txt"
    found = standing(http, http.Params(urls=[url]), pin_of(url), tmp_path)
    assert found.state == "not asked"
    assert "nosuch.invalid cannot be reached" in found.reason


def test_lock_entry_that_the_card_does_not_name_is_not_asked_for(
    host: Host, tmp_path: Path
) -> None:
    params = http.Params(urls=[f"{host.address}/a.txt"])
    found = standing(http, params, pin_of(f"{host.address}/other/a.txt"), tmp_path)
    assert found.state == "not asked"
    assert "what the card does not name" in found.reason
    assert host.asked == []


def test_users_own_files_are_hashed_where_they_lie(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(BODY)
    params = files.Params(path=str(path))
    pin = files.resolve(params)
    found = standing(files, params, pin, tmp_path)
    assert (found.state, found.by) == ("ok", "sha256")
    path.write_bytes(BODY.upper())
    assert standing(files, params, pin, tmp_path).state == "changed"
    path.unlink()
    assert standing(files, params, pin, tmp_path).state == "not asked"


PIP = """
import sys
asked = sys.argv[-1]
if asked == "pack":
    print("pack (2.0)\\nAvailable versions: 2.0, 1.10, 1.0")
elif asked == "lost":
    sys.exit("WARNING: Retrying after connection broken by x\\nERROR: No matching distribution")
else:
    sys.exit("ERROR: No matching distribution found for it")
"""


@pytest.mark.parametrize(
    ("locked", "named", "state", "reason"),
    [
        ("pack-2.0", None, "ok", ""),
        ("pack-1.0", None, "newer", "2.0 is served"),
        ("pack-1.0", "1.0", "ok", ""),
        ("pack-1.1", None, "vanished", "pack 1.1 is no longer served; 2.0 is"),
        ("gone-1.0", None, "vanished", "the index serves no pure Python wheel of gone"),
        ("lost-1.0", None, "not asked", "pip cannot reach its package index"),
    ],
)
def test_wheel_is_told_by_the_versions_that_the_index_lists(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    locked: str,
    named: str | None,
    state: str,
    reason: str,
) -> None:
    client = tmp_path / "pip"
    client.write_text(f"#!{sys.executable}\n{PIP}")
    client.chmod(0o755)
    monkeypatch.setattr(pypi, "_client", lambda: [str(client)])
    package, _, version = locked.partition("-")
    params = pypi.Params(packages={package: {"version": named} if named else None})
    name = f"{locked}-py3-none-any.whl"
    found = standing(pypi, params, Pin(version, (PinnedFile(name, "0" * 64, 1),)), tmp_path)
    assert found.state == state
    assert found.reason.startswith(reason)
    assert found.by == ("version" if state in {"ok", "newer"} else "")


def test_vanished_address_gives_way_to_another_of_the_card_with_the_same_bytes(
    host: Host, tmp_path: Path
) -> None:
    urls = [f"{host.address}/a.txt", f"{host.address}/b.txt"]
    host.pages |= {"/a.txt": Page(BODY), "/b.txt": Page(BODY)}
    params = http.Params(urls=urls)
    pin = http.resolve(params)
    host.pages["/a.txt"] = Page(status=404)
    brought = http.fetch(params, pin, tmp_path)
    assert [Path(path).read_bytes() for path in brought.values()] == [BODY, BODY]
    host.pages["/b.txt"] = Page(b"x" * len(BODY))
    with pytest.raises(Exception, match="other bytes under the same address"):
        http.fetch(params, pin, tmp_path)
