"""What fetching for one card may take, wherever bytes come in; and hosts that never end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from web_host import Handler, Host, Page, no_waits, running

from phloem.pipeline.cli import options
from phloem.sources import spending
from phloem.sources.clients import clients
from phloem.sources.connector import SourceError
from phloem.sources.connectors import files, http
from phloem.sources.spending import Allowance, SpentError, at_most
from phloem.sources.web import addresses, download, patience
from phloem.sources.web.robots import DeniedError

TEXT = b"x" * 5_000


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    no_waits(monkeypatch)
    with running(monkeypatch) as found:
        yield found


@pytest.mark.parametrize("number", [1, 2, 4])
def test_bytes_of_all_files_of_a_card_count_together(
    host: Host, tmp_path: Path, number: int
) -> None:
    urls = [f"{host.address}/{n}.txt" for n in range(number)]
    for n in range(number):
        host.pages[f"/{n}.txt"] = Page(TEXT)
    for connector, params in ((http, http.Params(urls=urls)), (files, files.Params(path=urls))):
        with at_most(Allowance(fetch_bytes=number * len(TEXT))):
            pin = connector.resolve(params)  # type: ignore[arg-type]
        told = rf"more than {number * len(TEXT) - 1:,} bytes \(fetch_bytes\); --x allows more"
        with pytest.raises(SpentError, match=told):  # noqa: SIM117 - the bound is of the block
            with at_most(Allowance(number * len(TEXT) - 1, raised="--x allows more")):
                connector.fetch(params, pin, tmp_path)  # type: ignore[arg-type]


def test_nothing_is_counted_where_nothing_is_bounded(host: Host) -> None:
    host.pages["/a.txt"] = Page(TEXT)
    with at_most(Allowance(fetch_bytes=1)):
        pass
    assert download.read_url(f"{host.address}/a.txt") == TEXT
    assert spending.seconds_left(7) == 7


def test_waits_end_with_the_time_that_a_card_may_take(host: Host) -> None:
    host.pages["/a.txt"] = Page(status=503)
    url = f"{host.address}/a.txt"
    with pytest.raises(SpentError, match=r"more than 0 seconds \(fetch_seconds\)"):  # noqa: SIM117
        with at_most(Allowance(fetch_seconds=0)):
            download.read_url(url)
    assert host.asked == []


def dripping(begin: bytes) -> Callable[[Handler], None]:
    """An answer that goes on by a byte, until nobody listens."""

    def drip(handler: Handler) -> None:
        handler.wfile.write(begin)
        with suppress(OSError):
            while True:
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.02)

    return drip


HEAD = dripping(b"HTTP/1.1 200 OK\r\nX: ")
CHUNK = dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;")


@pytest.mark.parametrize("drip", [HEAD, CHUNK], ids=["head", "chunk"])
def test_host_that_drips_what_is_no_body_is_given_up(
    host: Host, monkeypatch: pytest.MonkeyPatch, drip: Callable[[Handler], None]
) -> None:
    monkeypatch.setattr(addresses, "SILENT_SECONDS", 0.1)
    monkeypatch.setattr(patience, "WAITS", 2)
    host.pages["/a.txt"] = drip
    with pytest.raises(SourceError, match=r"cannot be had: \w+ from 127"):
        download.read_url(f"{host.address}/a.txt")


def test_robots_that_drip_are_as_good_as_out_of_reach(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "SILENT_SECONDS", 0.1)
    host.pages["/robots.txt"] = dripping(b"HTTP/1.1 200 OK\r\n\r\nUser-agent: *\nDisallow:")
    host.pages["/a.txt"] = Page(TEXT)
    with pytest.raises(DeniedError, match="it cannot be reached, which stands for a no"):
        http.resolve(http.Params(urls=[f"{host.address}/a.txt"]))


def test_host_that_drips_is_left_when_the_time_is_over(host: Host) -> None:
    host.pages["/a.txt"] = HEAD
    with pytest.raises(SpentError, match="fetch_seconds"):  # noqa: SIM117
        with at_most(Allowance(fetch_seconds=0.2)):
            download.read_url(f"{host.address}/a.txt")


PROGRAMS = {
    "writes without end": "import time\nf = open('big', 'wb')\n"
    "while True: f.write(b'x' * 2**16); f.flush(); time.sleep(0.001)",
    "never ends": "import time; time.sleep(60)",
    "leaves one that holds its pipes": "import subprocess, sys, time\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\ntime.sleep(60)",
}


@pytest.mark.parametrize("what", PROGRAMS)
def test_client_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(clients, "LOOK_SECONDS", 0.1)
    others = set(psutil.Process().children(recursive=True))
    bound = Allowance(fetch_bytes=2**20) if "writes" in what else Allowance(fetch_seconds=0.5)
    with pytest.raises(SpentError), at_most(bound):
        clients.run_client([sys.executable, "-c", PROGRAMS[what]], tmp_path, {})
    assert set(psutil.Process().children(recursive=True)) <= others
    monkeypatch.setattr(clients, "TIMEOUT", 0.3)
    with pytest.raises(SourceError, match="did not finish in"):
        clients.run_client([sys.executable, "-c", PROGRAMS[what]], tmp_path, {})
    assert set(psutil.Process().children(recursive=True)) <= others


@pytest.mark.parametrize(
    ("bound", "program", "told"),
    [
        ("MOST_MEMORY", "held = b'x' * 2**28; import time; time.sleep(60)", "bytes of memory"),
        ("MOST_SAID", "while True: print('x' * 999)", "says more than"),
        (
            "MOST_SAID",
            "import sys\nwhile True: print('x' * 999, file=sys.stderr)",
            "says more than",
        ),
    ],
)
def test_client_that_says_or_holds_too_much_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, program: str, told: str
) -> None:
    monkeypatch.setattr(clients, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(clients, bound, 2**26)
    with pytest.raises(SourceError, match=told):
        clients.run_client([sys.executable, "-c", program], tmp_path, {})


def test_client_gets_what_it_is_told_and_the_users_settings_but_no_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "GIT_DIR",
        "GIT_OBJECT_DIRECTORY",
        "GIT_INDEX_FILE",
        "PIP_INDEX_URL",
        "HTTPS_PROXY",
    ):
        monkeypatch.setenv(name, "given")
    program = (
        "import os, sys, time; time.sleep(0.3); print(sys.stdin.read(), *sorted(k for k, v in"
        " os.environ.items() if v == 'given'))"
    )
    monkeypatch.setattr(clients, "LOOK_SECONDS", 0.1)
    done = clients.run_client([sys.executable, "-c", program], tmp_path, {}, told="a\nb")
    assert done.stdout.split() == ["a", "b", "HTTPS_PROXY", "PIP_INDEX_URL"]


def test_defaults_are_those_that_the_command_line_tells() -> None:
    assert options.allowance(None, None).fetch_bytes == 64 * 2**30
    assert options.allowance(None, None).fetch_seconds == 21600
    assert options.allowance(1, 2) == Allowance(1, 2, options.allowance(None, None).raised)
