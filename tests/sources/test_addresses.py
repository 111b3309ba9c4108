"""Web addresses that the connector `files` reads go through the door of all: on a local host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from web_host import Host, Page, running

from phloem.sources.connector import SourceError, WrongError
from phloem.sources.connectors import files
from phloem.sources.web.robots import DeniedError

TEXT = '{"text": "ทุกคน 🌍"}\n'.encode()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """`/N/HOST/…` redirects N times within the host, then to the other; all else is the text."""
    with running(monkeypatch) as found:
        port = found.address.rpartition(":")[2]
        found.pages["/a.jsonl"] = Page(TEXT)
        for name in ("127.0.0.1", "localhost"):
            for left in range(1, 7):
                there = (
                    f"/{left - 1}/{name}/a.jsonl" if left > 1 else f"http://{name}:{port}/a.jsonl"
                )
                found.pages[f"/{left}/{name}/a.jsonl"] = Page(
                    status=302, headers={"Location": there}
                )
        yield found


def test_redirect_within_the_host_is_followed_and_the_text_fetched(
    host: Host, tmp_path: Path
) -> None:
    for path in ("a.jsonl", "1/127.0.0.1/a.jsonl", "3/127.0.0.1/a.jsonl"):
        params = files.Params(path=f"{host.address}/{path}")
        pin = files.resolve(params)
        found = files.fetch(params, pin, tmp_path)
        assert Path(found["a.jsonl"]).read_bytes() == TEXT
        assert {seen.protocol for seen in pin.observed} == {"robots", "tdmrep"}


def test_redirect_to_another_host_is_refused_unless_the_card_names_it(host: Host) -> None:
    path = f"{host.address}/2/localhost/a.jsonl"
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 redirects to localhost; name it in"):
        files.resolve(files.Params(path=path))
    with pytest.raises(SourceError, match="redirects to localhost"):
        files.resolve(files.Params(path=path, hosts=["*.example.org"]))
    for glob in ("localhost", "local*"):
        pin = files.resolve(files.Params(path=path, hosts=[glob]))
        assert pin.files[0].bytes == len(TEXT)


def test_redirects_beyond_the_limit_are_refused_and_followed_when_raised(host: Host) -> None:
    path = f"{host.address}/6/127.0.0.1/a.jsonl"
    with pytest.raises(SourceError, match="redirects more than 5 times; see `redirects`"):
        files.resolve(files.Params(path=path))
    assert files.resolve(files.Params(path=path, redirects=6)).files[0].bytes == len(TEXT)
    with pytest.raises(SourceError, match="redirects more than 0 times"):
        files.resolve(files.Params(path=f"{host.address}/1/127.0.0.1/a.jsonl", redirects=0))


def test_what_a_host_says_to_machines_holds(host: Host) -> None:
    host.pages["/robots.txt"] = Page(b"User-agent: *\nDisallow: /\n")
    with pytest.raises(DeniedError, match="the rule `Disallow: /`"):
        files.resolve(files.Params(path=f"{host.address}/a.jsonl"))
    assert host.paths() == []


def test_file_that_grew_is_not_brought_whole(host: Host, tmp_path: Path) -> None:
    params = files.Params(path=f"{host.address}/a.jsonl")
    pin = files.resolve(params)
    host.pages["/a.jsonl"] = Page(TEXT * 2)
    with pytest.raises(WrongError, match=f"more than the {len(TEXT)} bytes"):
        files.fetch(params, pin, tmp_path)
