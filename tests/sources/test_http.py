"""The connector for web addresses, its downloads and what it hears hosts say, on a local host."""

from __future__ import annotations

import hashlib
import json
import socket
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from web_host import Handler, Host, Page, cut, no_waits, running

from phloem.sources.cards.lock import NAME, Entry, read_lock, write_lock
from phloem.sources.connector import (
    Fault,
    GoneError,
    Observation,
    Pin,
    PinnedFile,
    SourceError,
    WrongError,
)
from phloem.sources.connectors import http
from phloem.sources.limits import Limits
from phloem.sources.web import addresses, download, patience, robots, web
from phloem.sources.web.robots import DeniedError

TEXT = "Wote wamezaliwa huru.\n\nكل الناس أحرار\n\nसभी मनुष्य\n\nทุกคน 🌍".encode()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with running(monkeypatch) as found:
        yield found


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return no_waits(monkeypatch)


def read_all(params: http.Params, folder: Path) -> tuple[list[dict[str, Any]], list[Fault]]:
    pin = http.resolve(params)
    fetched = http.fetch(params, pin, folder)
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for split in http.splits(params, pin, fetched):
        for found in http.read(params, split, fetched, Limits()):
            if isinstance(found, Fault):
                faults.append(found)
            else:
                rows += found.to_pylist()
    return rows, faults


def test_http_files_are_pinned_fetched_and_read_in_their_languages(
    host: Host, tmp_path: Path
) -> None:
    host.pages["/data/sw/a.txt"] = Page(b"Wote wamezaliwa huru.")
    host.pages["/data/th/a.html"] = Page("<p>ทุกคน".encode())
    urls = [f"{host.address}/data/{name}" for name in ("sw/a.txt", "th/a.html")]
    params = http.Params(urls=urls, languages={"*/sw/*": "sw", "*": "th"})
    pin = http.resolve(params)
    assert [file.name for file in pin.files] == ["sw/a.txt", "th/a.html"]
    assert pin.files[0] == PinnedFile(
        "sw/a.txt", hashlib.sha256(b"Wote wamezaliwa huru.").hexdigest(), 21, urls[0]
    )
    rows, faults = read_all(params, tmp_path)
    assert faults == []
    assert [(r["native_id"], r["media_type"], r["declared_language"]) for r in rows] == [
        ("sw/a.txt", "text/plain", "sw"),
        ("th/a.html", "text/html", "th"),
    ]
    assert http.reach(params) == "network"
    assert http.unavailable(params) is None


def test_http_archive_members_are_chosen_and_read(host: Host, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("ALT/data_hi.txt", "सभी")
        archive.writestr("ALT/README.txt", "no")
        archive.writestr("../data_x.txt", "slip")
    host.pages["/a.zip"] = Page((tmp_path / "a.zip").read_bytes())
    params = http.Params(
        urls=[f"{host.address}/a.zip"], include=["*/data_*.txt"], languages={"*data_hi.txt": "hi"}
    )
    rows, faults = read_all(params, tmp_path)
    assert [(r["native_id"], r["declared_language"]) for r in rows] == [
        ("a.zip/ALT/data_hi.txt", "hi")
    ]
    assert [fault.reason for fault in faults] == ["member path leaves the archive"]
    assert not (tmp_path.parent / "data_x.txt").exists()


def test_http_names_differ_and_say_where_from() -> None:
    assert download.names_of(["https://a.org/x/b.txt"]) == ["b.txt"]
    assert download.names_of(["https://a.org/x/"]) == ["a.org/x"]
    assert download.names_of(["https://a.org/b.txt?v=1"]) == ["b.txt"]
    assert download.names_of(["https://a.org/g?n=1.txt", "https://a.org/g?n=2.txt"]) == [
        "g?n=1.txt",
        "g?n=2.txt",
    ]
    assert download.names_of(["https://a.org/x/b.txt", "https://b.org/x/b.txt"]) == [
        "a.org/x/b.txt",
        "b.org/x/b.txt",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/a.txt",
        "/etc/passwd",
        "https://user:secret@example.org/a.txt",
        "https:///a.txt",
        "https://example.org/a b.txt",
        "https://example.org:port/a.txt",
        "--option",
    ],
)
def test_params_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="web addresses") as error:
        http.Params(urls=[url])
    assert "secret" not in error.value.errors()[0]["msg"]


def test_params_one_address_twice_or_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="twice"):
        http.Params(urls=["https://example.org/a.txt", "http://example.org/a.txt"])
    with pytest.raises(ValidationError):
        http.Params(urls=[])


def test_download_cut_goes_on_where_it_broke(
    host: Host, waits: list[float], tmp_path: Path
) -> None:
    body = TEXT * 20_000
    page = host.pages["/a.txt"] = Page(body)
    host.once["/a.txt"] = [cut(page, 1_000_000), cut(page, 500_000)]
    found = download.download(f"{host.address}/a.txt", tmp_path / "a")
    assert found.sha256 == hashlib.sha256(body).hexdigest()
    assert (tmp_path / "a").read_bytes() == body
    ranges = [(h.get("Range"), "If-Range" in h) for path, h in host.asked if path == "/a.txt"]
    assert ranges == [(None, False), ("bytes=1000000-", True), ("bytes=1500000-", True)]
    assert waits == [1, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_download_left_by_an_earlier_call_goes_on(host: Host, tmp_path: Path) -> None:
    host.pages["/a.txt"] = page = Page(TEXT, tag='"v1"')
    (tmp_path / "a.part").write_bytes(TEXT[:20])
    (tmp_path / "a.tag").write_text('"v1"')
    download.download(f"{host.address}/a.txt", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == TEXT
    assert host.asked[-1][1]["Range"] == "bytes=20-"
    (tmp_path / "b.part").write_bytes(TEXT)  # all was there: 416 says so
    (tmp_path / "b.tag").write_text('"v1"')
    download.download(f"{host.address}/a.txt", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == page.body


def test_download_file_that_changed_meanwhile_comes_whole(
    host: Host, waits: list[float], tmp_path: Path
) -> None:
    old = Page(b"x" * 5000)
    host.once["/a.txt"] = [cut(old, 3000)]
    host.pages["/a.txt"] = Page(TEXT)
    download.download(f"{host.address}/a.txt", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == TEXT
    assert len(waits) == 1


@pytest.mark.parametrize(
    "page", [Page(TEXT, ranges=False), Page(TEXT, tag='W/"weak"')], ids=["no ranges", "weak tag"]
)
def test_download_that_cannot_go_on_begins_anew(
    host: Host, waits: list[float], tmp_path: Path, page: Page
) -> None:
    host.pages["/a.txt"] = page
    host.once["/a.txt"] = [cut(page, 30)]
    download.download(f"{host.address}/a.txt", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == TEXT
    assert waits == [1]


@pytest.mark.parametrize("status", [429, 503])
def test_download_waits_as_long_as_the_host_asks(
    host: Host, waits: list[float], tmp_path: Path, status: int
) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    host.pages["/a.txt"] = Page(TEXT)
    host.once["/a.txt"] = [
        Page(status=status, headers={"Retry-After": "7"}),
        Page(status=status, headers={"Retry-After": soon}),
        Page(status=status),
    ]
    download.download(f"{host.address}/a.txt", tmp_path / "a")
    assert waits[0] == 7
    assert 50 < waits[1] <= 60
    assert waits[2] == 4


def test_download_host_that_asks_for_too_long_is_given_up(
    host: Host, waits: list[float], tmp_path: Path
) -> None:
    host.pages["/a.txt"] = Page(status=503, headers={"Retry-After": "86400"})
    with pytest.raises(SourceError, match="answers 503; it asks to wait 86400 s"):
        download.download(f"{host.address}/a.txt", tmp_path / "a")
    assert waits == []


def test_download_host_that_only_fails_is_given_up_in_time(
    host: Host, waits: list[float], tmp_path: Path
) -> None:
    host.pages["/a.txt"] = Page(status=500)
    with pytest.raises(SourceError, match=r"answers 500; waited \d+ s; try again later"):
        download.download(f"{host.address}/a.txt", tmp_path / "a")
    assert sum(waits) <= patience.WAITS
    assert max(waits) == patience.LONGEST_WAIT
    assert waits[:4] == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("status", "said"), [(401, "refuses"), (403, "refuses"), (451, "refuses"), (418, "answers 418")]
)
def test_download_refused_is_no_reason_to_ask_again(
    host: Host, waits: list[float], tmp_path: Path, status: int, said: str
) -> None:
    host.pages["/a.txt"] = Page(status=status)
    with pytest.raises(SourceError, match=said):
        download.download(f"{host.address}/a.txt", tmp_path / "a")
    assert waits == []
    with pytest.raises(GoneError, match="not there any more"):
        download.download(f"{host.address}/b.txt", tmp_path / "a")


def test_download_silent_host_is_given_up(
    host: Host, waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(patience, "WAITS", 2)
    host.pages["/a.txt"] = lambda _: time.sleep(0.5)
    with pytest.raises(SourceError, match="ReadTimeoutError from"):
        download.download(f"{host.address}/a.txt", tmp_path / "a")
    assert waits == [1]


def test_download_that_drips_is_made_anew(
    host: Host, waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(6):
            handler.wfile.write(b"x")
            time.sleep(0.1)
        handler.close_connection = True

    monkeypatch.setattr(download, "WINDOW", 0.2)
    host.once["/a.txt"] = [drip]
    host.pages["/a.txt"] = Page(TEXT)
    started = time.monotonic()
    download.download(f"{host.address}/a.txt", tmp_path / "a")
    assert time.monotonic() - started < 5
    assert (tmp_path / "a").read_bytes() == TEXT
    assert waits == [1]


def test_download_more_than_the_pin_is_stopped_and_other_bytes_are_refused(
    host: Host, tmp_path: Path
) -> None:
    host.pages["/a.txt"] = Page(b"x" * 100)
    url = f"{host.address}/a.txt"
    with pytest.raises(SourceError, match="more than the 10 bytes"):
        download.download(url, tmp_path / "a", pin=PinnedFile("a.txt", "0" * 64, 10, url))
    assert (tmp_path / "a.part").stat().st_size <= 10
    params = http.Params(urls=[url])
    pin = http.resolve(params)
    host.pages["/a.txt"] = Page(b"y" * 100)
    with pytest.raises(SourceError, match=r"a\.txt has sha256 .* is locked"):
        http.fetch(params, pin, tmp_path)
    with pytest.raises(WrongError, match="lock it again"):
        http.fetch(http.Params(urls=[f"{host.address}/b.txt"]), pin, tmp_path)


def test_download_disk_that_is_full_is_told_at_once(
    host: Host, waits: list[float], tmp_path: Path
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    host.pages["/a.txt"] = Page(b"x" * 2**22)
    (tmp_path / "a.part").symlink_to("/dev/full")
    with pytest.raises(SourceError, match="cannot be written: No space left"):
        download.download(f"{host.address}/a.txt", tmp_path / "a")
    assert waits == []


def test_hosts_are_asked_one_at_a_time_with_a_pause(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "DELAY", 0.1)
    at_once: list[int] = [0]
    most: list[int] = [0]

    def slow(handler: Handler) -> None:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        time.sleep(0.05)
        at_once[0] -= 1
        handler.give(Page(TEXT))

    host.pages["/a.txt"] = slow
    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda _: download.read_url(f"{host.address}/a.txt"), range(4)):
            pass
    assert most[0] == 1
    assert time.monotonic() - started >= 4 * 0.05 + 3 * 0.1


def test_program_names_itself(host: Host) -> None:
    host.pages["/a.txt"] = Page(TEXT)
    download.read_url(f"{host.address}/a.txt")
    sent = host.asked[-1][1]
    assert sent["User-Agent"].startswith("phloem/")
    assert sent["Accept-Encoding"] == "identity"


def test_read_url_spans_are_exact_or_refused(host: Host, waits: list[float]) -> None:
    url = f"{host.address}/a.warc.gz"
    page = host.pages["/a.warc.gz"] = Page(TEXT)
    assert download.read_url(url, span=(10, 20)) == TEXT[10:30]
    host.once["/a.warc.gz"] = [cut(page, 5)]
    assert download.read_url(url, span=(10, 20)) == TEXT[10:30]
    host.pages["/a.warc.gz"] = Page(TEXT, ranges=False)
    with pytest.raises(SourceError, match="gives no ranges"):
        download.read_url(url, span=(0, 20))
    with pytest.raises(SourceError, match="more than 10 bytes"):
        download.read_url(url, most=10)


def test_redirects_are_followed_within_the_card_s_hosts_and_never_into_a_network(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = host.address.rpartition(":")[2]
    host.pages["/a.txt"] = Page(TEXT)
    host.pages["/near"] = Page(status=302, headers={"Location": "/a.txt"})
    host.pages["/far"] = Page(status=307, headers={"Location": f"http://localhost:{port}/a.txt"})
    host.pages["/round"] = Page(status=301, headers={"Location": "/round"})
    host.pages["/file"] = Page(status=302, headers={"Location": "file:///etc/passwd"})
    host.pages["/odd"] = Page(status=302, headers={"Location": "http://[x/"})
    assert download.read_url(f"{host.address}/near") == TEXT
    with pytest.raises(SourceError, match="redirects to localhost; name it in `hosts`"):
        download.read_url(f"{host.address}/far")
    assert download.read_url(f"{host.address}/far", hosts=["local*"]) == TEXT
    for path, said in [
        ("round", "more than 5 times"),
        ("file", "redirects to no host"),
        ("odd", "what is no address"),
    ]:
        with pytest.raises(SourceError, match=said):
            download.read_url(f"{host.address}/{path}")
    # A host that the card names is refused all the same where it is inside a network.
    monkeypatch.setattr(addresses, "ALLOWED", (ip_network("127.0.0.1/32"),))
    inside = {"Location": f"http://127.0.0.2:{port}/a.txt"}
    host.pages["/inside"] = Page(status=302, headers=inside)
    with pytest.raises(SourceError, match=r"127\.0\.0\.2, which is no public address"):
        download.read_url(f"{host.address}/inside", hosts=["127.0.0.2"])


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_addresses_inside_a_network_are_not_public(text: str) -> None:
    assert not addresses.is_public(text)


def test_addresses_of_the_open_network_are_public() -> None:
    assert addresses.is_public("1.1.1.1")
    assert addresses.is_public("2606:4700:4700::1111")
    assert addresses.is_public("::ffff:1.1.1.1")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]"])
def test_private_address_is_refused_however_it_is_written(name: str, waits: list[float]) -> None:
    with pytest.raises(SourceError, match=r"is no public address|cannot be reached"):
        download.read_url(f"http://{name}:9/a.txt")


def test_name_that_changes_its_address_after_the_check_is_not_reached(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is made to the address that was looked at: a second look-up is never made."""
    host.pages["/a.txt"] = Page(TEXT)
    real, looked = socket.getaddrinfo, []

    def rebinding(name: str, *args: Any, **named: Any) -> Any:
        looked.append(name)
        first = looked.count("rebind.example") == 1
        return real("127.0.0.1" if first or name == "127.0.0.1" else "127.0.0.2", *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    url = host.address.replace("127.0.0.1", "rebind.example")
    assert download.read_url(f"{url}/a.txt") == TEXT
    assert looked.count("rebind.example") == 1


def test_host_that_cannot_be_reached_is_given_up_soon(waits: list[float]) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.invalid cannot be reached"):
        download.read_url("https://nowhere.invalid/a.txt")
    assert waits == [1, 2]


ROBOTS = """\
# rules
User-agent: *
Disallow: /

User-agent: Phloem
User-agent: other
Crawl-delay: 3
Disallow: /private/
Allow: /private/open
Disallow: /*.pdf$
"""


def test_robots_group_and_longest_match_decide_and_a_denial_names_the_rule(
    host: Host, tmp_path: Path
) -> None:
    host.pages["/robots.txt"] = Page(ROBOTS.encode())
    for path in ("/a.txt", "/private/open.txt", "/a.pdf?x=1"):
        host.pages[path] = Page(TEXT)
        robots.observe(f"{host.address}{path}")
    for path, rule in [("/private/a.txt", "/private/"), ("/x/a.pdf", r"/\*\.pdf\$")]:
        with pytest.raises(DeniedError, match=rf"the rule `Disallow: {rule}`, in {host.address}/r"):
            http.resolve(http.Params(urls=[f"{host.address}{path}"], format="txt"))
    assert host.paths() == []
    assert robots.delay(f"{host.address}/a.txt") == 3
    assert len([path for path, _ in host.asked if path == "/robots.txt"]) == 1


@pytest.mark.parametrize(
    ("status", "reads"), [(404, True), (403, True), (500, False), (503, False)]
)
def test_robots_that_are_not_there_allow_and_that_fail_forbid(
    host: Host, tmp_path: Path, status: int, reads: bool
) -> None:
    host.pages["/robots.txt"] = Page(status=status)
    host.pages["/a.txt"] = Page(TEXT)
    params = http.Params(urls=[f"{host.address}/a.txt"])
    if reads:
        place = f"{host.address}/robots.txt"
        seen = Observation("robots", "unknown", place, f"it answers {status}")
        assert seen in http.resolve(params).observed
    else:
        with pytest.raises(DeniedError, match=f"it answers {status}, which stands for a no"):
            http.resolve(params)
        assert host.paths() == []


def test_robots_beyond_500_kib_is_not_read(host: Host) -> None:
    long = b"User-agent: *\nAllow: /\n" + b"# " + b"x" * robots.MOST + b"\nDisallow: /\n"
    host.pages["/robots.txt"] = Page(long)
    assert robots.observe(f"{host.address}/a.txt")[0].verdict == "allow"


def test_robots_holds_for_each_hop_of_a_redirect(host: Host) -> None:
    host.pages["/robots.txt"] = Page(b"User-agent: *\nDisallow: /private/\n")
    host.pages["/a.txt"] = Page(status=302, headers={"Location": "/private/a.txt"})
    host.pages["/private/a.txt"] = Page(TEXT)
    with pytest.raises(DeniedError, match="Disallow: /private/"):
        http.resolve(http.Params(urls=[f"{host.address}/a.txt"]))
    assert host.paths() == ["/a.txt"]


def test_tdmrep_first_rule_that_matches_holds_and_is_recorded(host: Host, tmp_path: Path) -> None:
    rules: list[Any] = [
        {"location": "/open/*.txt", "tdm-reservation": 0},
        {"location": "/", "tdm-reservation": 1, "tdm-policy": "https://example.org/terms"},
    ]
    place = "/.well-known/tdmrep.json"
    host.pages[place] = Page(json.dumps(rules).encode())
    host.pages["/open/a.txt"] = host.pages["/b.txt"] = Page(TEXT)
    pin = http.resolve(http.Params(urls=[f"{host.address}/open/a.txt"]))
    assert [(seen.protocol, seen.verdict) for seen in pin.observed] == [
        ("robots", "unknown"),
        ("tdmrep", "allow"),
    ]
    with pytest.raises(DeniedError, match=r"`location: /`, .*: 1` \(its terms: https://example"):
        http.resolve(http.Params(urls=[f"{host.address}/b.txt"]))
    write_lock(tmp_path / NAME, {"a": Entry(pin, "2026-01-31")})
    assert read_lock(tmp_path / NAME)["a"].pin == pin


@pytest.mark.parametrize(
    "body", [b"{", b"[" * 100_000, b'{"location": "/"}', b"[1, null, []]", b"\xff", b""]
)
def test_tdmrep_that_is_none_says_nothing(host: Host, body: bytes) -> None:
    host.pages["/.well-known/tdmrep.json"] = Page(body)
    assert robots.observe(f"{host.address}/a.txt")[1].verdict == "unknown"


def test_tdm_header_reserves_the_right_of_a_file(host: Host, tmp_path: Path) -> None:
    host.pages["/a.txt"] = Page(TEXT, headers={"tdm-reservation": "1"})
    host.pages["/b.txt"] = Page(TEXT, headers={"tdm-reservation": "0"})
    with pytest.raises(DeniedError, match="the header tdm-reservation: 1"):
        http.resolve(http.Params(urls=[f"{host.address}/a.txt"]))
    pin = http.resolve(http.Params(urls=[f"{host.address}/b.txt"]))
    place = f"{host.address}/b.txt"
    assert Observation("header", "allow", place, "tdm-reservation: 0") in pin.observed


def test_pin_without_observations_is_written_as_before() -> None:
    pin = Pin("1", (PinnedFile("a", "0" * 64, 1),))
    assert set(pin.to_json()) == {"version", "files"}
    assert Pin.from_json(pin.to_json()) == pin
