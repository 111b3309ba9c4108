"""Redirects of web addresses, with servers of this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from phloem.sources.connector import SourceError
from phloem.sources.connectors import files

TEXT = '{"text": "ทุกคน 🌍"}\n'.encode()


class Handler(BaseHTTPRequestHandler):
    """`/N/HOST/…` redirects N times within the server, then to the host; all else is the text."""

    def do_GET(self) -> None:
        parts = self.path.split("/")
        if len(parts) > 3:  # a redirect as above
            port = self.server.server_address[1]
            left = int(parts[1]) - 1
            near = f"/{left}/{parts[2]}/{parts[3]}"
            self.send_response(302)
            self.send_header("Location", near if left else f"http://{parts[2]}:{port}/{parts[3]}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(TEXT)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(TEXT)

    do_HEAD = do_GET  # noqa: N815 - named so by http.server

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """Address of a server by its number; by its name it is another host."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def test_redirect_within_the_host_is_followed_and_the_text_fetched(
    server: str, tmp_path: Path
) -> None:
    for path in ("a.jsonl", "1/127.0.0.1/a.jsonl", "3/127.0.0.1/a.jsonl"):
        params = files.Params(path=f"{server}/{path}")
        pin = files.resolve(params)
        found = files.fetch(params, pin, tmp_path)
        assert Path(found["a.jsonl"]).read_bytes() == TEXT


def test_redirect_to_another_host_is_refused_unless_the_card_names_it(server: str) -> None:
    path = f"{server}/2/localhost/a.jsonl"
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 redirects to localhost; name it in"):
        files.resolve(files.Params(path=path))
    with pytest.raises(SourceError, match="redirects to localhost"):
        files.resolve(files.Params(path=path, hosts=["*.example.org"]))
    for glob in ("localhost", "local*"):
        pin = files.resolve(files.Params(path=path, hosts=[glob]))
        assert pin.files[0].bytes == len(TEXT)


def test_redirects_beyond_the_limit_are_refused_and_followed_when_raised(server: str) -> None:
    path = f"{server}/6/127.0.0.1/a.jsonl"
    with pytest.raises(SourceError, match="redirects more than 5 times; see `redirects`"):
        files.resolve(files.Params(path=path))
    assert files.resolve(files.Params(path=path, redirects=6)).files[0].bytes == len(TEXT)
    with pytest.raises(SourceError, match="redirects more than 0 times"):
        files.resolve(files.Params(path=f"{server}/1/127.0.0.1/a.jsonl", redirects=0))
