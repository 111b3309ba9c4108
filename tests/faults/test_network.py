"""Servers that break off, serve other bytes, or take their time; no test leaves this machine."""

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from inline_engine import job_of
from tiny_workspace import digests, run_tiny

from phloem.catalog.store import Store
from phloem.pipeline.registry.fetch import FetchError
from phloem.pipeline.review.locking import lock
from phloem.pipeline.workspace import load_workspace
from phloem.sources.web import addresses, patience, robots, web

World = tuple[Path, Path, dict[str, Any]]

DEADLINE = 20.0  # seconds in which a server that hangs must be given up


@dataclass
class Server:
    """Serves one file, as badly as it is told to.

    Attributes:
        data: The file.
        manner: well, breaks (half of what it announced), fewer (half, and says so), changed,
            slow (in small pieces, with pauses), hangs (until it is `released`), fails (500).
        released: Ends what hangs.
    """

    data: bytes
    manner: str = "well"
    released: threading.Event = field(default_factory=threading.Event)

    def answer(self, request: BaseHTTPRequestHandler, *, with_body: bool) -> None:
        """Answer one request."""
        half = len(self.data) // 2
        body = {"fewer": self.data[:half], "changed": self.data[:-3] + b"x\n\n"}.get(
            self.manner, self.data
        )
        if self.manner == "hangs":
            self.released.wait()
        request.send_response(500 if self.manner == "fails" else 200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if not with_body:
            return
        if self.manner == "breaks":
            request.wfile.write(body[:half])
        elif self.manner == "slow":
            for start in range(0, len(body), len(body) // 20 + 1):
                request.wfile.write(body[start : start + len(body) // 20 + 1])
                request.wfile.flush()
                time.sleep(0.05)
        else:
            request.wfile.write(body)


@pytest.fixture
def served(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Server]]:
    """A copy of the workspace whose source `north` comes from a server, and the server."""
    monkeypatch.setattr(addresses, "ALLOWED", (ip_network("127.0.0.1/32"),))
    monkeypatch.setattr(web, "DELAY", 0.0)
    monkeypatch.setattr(patience, "WAITS", 1)  # seconds; a host that fails has a quarter of an hour
    monkeypatch.setattr(patience, "LONGEST_WAIT", 1)
    robots.read.cache_clear()  # another test's host may have had this port
    folder = tmp_path / "workspace"
    shutil.copytree(world[0], folder)
    server = Server((folder / "north.jsonl").read_bytes())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self, with_body=True)

        def do_HEAD(self) -> None:
            server.answer(self, with_body=False)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, args=[0.01], daemon=True).start()
    card = folder / "cards" / "north.yaml"
    text = card.read_text(encoding="utf-8")
    url = f"http://127.0.0.1:{http.server_port}/north.jsonl"
    card.write_text(text.replace(str(world[0] / "north.jsonl"), url), encoding="utf-8")
    list(lock(load_workspace(folder), ["north"]))
    yield folder, server
    server.released.set()
    http.shutdown()
    http.server_close()


def _fetched(folder: Path, root: Path) -> list[bytes]:
    """What is in the root of `north` after a job was prepared."""
    (reading,) = (each for each in job_of(folder, root).readings if each.card.id == "north")
    store = Store(str(root))
    return [store.read_bytes(f"fetched/{file.sha256}") for file in reading.pin.files]


@pytest.mark.fault(
    fault="a download is slow",
    promise="it is waited for; the run ends with the same bytes",
)
def test_download_that_is_slow_is_waited_for(
    world: World, served: tuple[Path, Server], copied: Path
) -> None:
    folder, server = served
    server.manner = "slow"
    record = run_tiny(folder, copied)
    assert digests(copied, record) == digests(world[1], world[2])  # the release names the URL


def _refused_then_fetched(folder: Path, server: Server, root: Path, said: str) -> None:
    """A job is refused and leaves nothing; with a server that serves well, it gets the bytes."""
    kept = set(root.rglob("*"))
    with pytest.raises(FetchError, match=f"1 of 4 sources .*north: .*({said})"):
        job_of(folder, root)
    assert set(root.rglob("*")) == kept
    server.manner = "well"
    assert _fetched(folder, root) == [server.data]


@pytest.mark.fault(
    fault="a download is shorter than what was locked, or has other bytes",
    promise="the run does not begin and nothing of it is kept; a rerun fetches the locked bytes",
)
@pytest.mark.parametrize("manner", ["fewer", "changed"])
def test_download_that_is_not_what_was_locked_is_refused(
    manner: str, served: tuple[Path, Server], fresh: Path
) -> None:
    folder, server = served
    server.manner = manner
    _refused_then_fetched(folder, server, fresh, "north.jsonl has sha256 .* is locked")


@pytest.mark.fault(
    fault="a download breaks off, or the server fails",
    promise="the run does not begin and nothing of it is kept; a rerun fetches the locked bytes",
)
@pytest.mark.parametrize("manner", ["breaks", "fails"])
def test_download_that_fails_is_told_in_a_line(
    manner: str, served: tuple[Path, Server], fresh: Path
) -> None:
    folder, server = served
    server.manner = manner
    _refused_then_fetched(folder, server, fresh, "north.jsonl")


@pytest.mark.fault(
    fault="a server takes the request and never answers",
    promise="it is given up after a while: the run does not begin, and a rerun fetches anew",
)
def test_server_that_hangs_is_given_up(
    served: tuple[Path, Server], fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "SILENT_SECONDS", 1)
    folder, server = served
    server.manner = "hangs"
    threading.Timer(DEADLINE, server.released.set).start()
    began = time.monotonic()
    _refused_then_fetched(folder, server, fresh, "127.0.0.1|north.jsonl")
    assert time.monotonic() - began < DEADLINE


@pytest.mark.fault(
    fault="a fetched file is cut short in the root",
    promise="it is found by its size and fetched again",
)
def test_fetched_file_that_was_cut_is_fetched_again(
    served: tuple[Path, Server], fresh: Path
) -> None:
    folder, server = served
    (before,) = _fetched(folder, fresh)
    (victim,) = (path for path in (fresh / "fetched").iterdir() if path.read_bytes() == before)
    victim.write_bytes(before[:-9])
    assert _fetched(folder, fresh) == [before] == [server.data]
