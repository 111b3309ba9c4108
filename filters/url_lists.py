"""Lists of domains, hosts and addresses that a recipe gives: how many name a document's address."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from phloem.catalog.columns import URL, Column
from phloem.catalog.plain import Json
from phloem.filters.given import LISTS, check_lists
from phloem.filters.op import OpError, op

URL_LIST_COUNT = Column(
    "url_list_count",
    pa.int64(),
    "Lists of the recipe that name the document's address; null where it has none.",
)
URL_LIST = Column(
    "url_list", pa.string(), "The first list of the recipe that names the document's address."
)

# Lines of a file of hosts (hosts(5)) begin with an address that leads nowhere.
_NOWHERE = frozenset(("0.0.0.0", "127.0.0.1", "::", "::1"))  # noqa: S104 - nothing is bound
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_COMMENT = re.compile(r"(?:^|\s)#")
_PORT = re.compile(r":\d*$")
_NO_HOST = re.compile(r"[\0|^,$*]")  # a rule of another form, such as `||example.org^`: no name

MOST_HOST = 253
"""Characters of the longest name of a host (RFC 1035, section 2.3.4): a longer one is none."""


def parted(address: str) -> tuple[str, str]:
    """The host and the path of an address, as they are compared; both empty if there is none.

    Without scheme, user, port, `www.`, query, fragment and a slash at the end; the host in small
    letters and as IDNA has it (RFC 3490), so that both spellings of a name are one.
    """
    rest = re.split(r"[?#]", _SCHEME.sub("", address.strip()), maxsplit=1)[0]
    host, _, path = rest.partition("/")
    host = _PORT.sub("", host.rpartition("@")[2]).rstrip(".").lower().removeprefix("www.")
    if not host.isascii() and len(host) <= MOST_HOST:
        with contextlib.suppress(UnicodeError):  # what IDNA does not allow stays as it is written
            host = host.encode("idna").decode("ascii")
    return (host if len(host) <= MOST_HOST else ""), path.rstrip("/")


def names_of(address: str) -> list[str]:
    """All that a list may call an address by: its host and paths in it, and what the host is under.

    A domain stands for all hosts under it, and a path for all that lies under it.
    """
    host, path = parted(address)
    steps = path.split("/") if path and host else []
    return _domains(host) + [f"{host}/{'/'.join(steps[:end])}" for end in range(1, len(steps) + 1)]


def _domains(host: str) -> list[str]:
    labels = host.split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)] or [host] if host else []


def _hashes_of(address: str) -> list[int]:
    """The hashes of `names_of`, those of paths one out of the other: an address may be long."""
    host, path = parted(address)
    found = [xxhash.xxh3_64_intdigest(domain.encode()) for domain in _domains(host)]
    under = xxhash.xxh3_64(host.encode())
    for step in path.split("/") if path and host else []:
        under.update(f"/{step}".encode())
        found.append(under.intdigest())
    return found


def _entries(line: str) -> list[str]:
    """What a line of a list names: one name, of a file of hosts all; nothing for a comment."""
    words = _COMMENT.split(line, maxsplit=1)[0].split()
    words = words[1:] if len(words) > 1 and words[0] in _NOWHERE else words[:1]
    named = [parted(word.removeprefix("*").removeprefix(".")) for word in words]
    return [
        f"{host}/{path}" if path else host
        for host, path in named
        if host and not _NO_HOST.search(host)
    ]


@functools.lru_cache(maxsize=64)
def _hashes(path: str) -> npt.NDArray[np.uint64]:
    """The sorted hashes of what a list names: eight bytes each, whatever their length."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise OpError("it is not UTF-8; give text with a name a line") from None
    entries = (entry for line in lines for entry in _entries(line))
    found = [xxhash.xxh3_64_intdigest(entry.encode()) for entry in entries]
    if not found:
        raise OpError("it names nothing; give text with a name a line")
    return np.unique(np.array(found, np.uint64))


def _ready(params: Mapping[str, Json], files: Mapping[str, str]) -> None:
    """Raise GivenError naming every list that names nothing."""
    check_lists("url_lists", params[LISTS], lambda each: _hashes(files[each["sha256"]]))


def _url_lists_reference(
    batch: pa.RecordBatch,
    *,
    lists: Sequence[Mapping[str, Json]] = (),
    files: Mapping[str, str] = MappingProxyType({}),
) -> list[pa.Array]:
    """The same with sets of strings."""
    known = {
        each["name"]: {
            entry
            for line in Path(files[each["sha256"]]).read_text("utf-8").split("\n")
            for entry in _entries(line)
        }
        for each in lists
    }
    counts, firsts = [], []
    for url in batch[URL.name].to_pylist():
        hit = [name for name, own in known.items() if own & set(names_of(url or ""))]
        counts.append(None if url is None else len(hit))
        firsts.append(hit[0] if hit else None)
    return [pa.array(counts, URL_LIST_COUNT.type), pa.array(firsts, URL_LIST.type)]


@op(
    reads=[URL],
    writes=[URL_LIST_COUNT, URL_LIST],
    version=2,
    list_keys=["name"],
    ready=_ready,
    examples=[("https://example.org/a", (0, None)), (None, (None, None))],
    reference=_url_lists_reference,
)
def url_lists(
    batch: pa.RecordBatch,
    *,
    lists: Sequence[Mapping[str, Json]] = (),
    files: Mapping[str, str] = MappingProxyType({}),
) -> list[pa.Array]:
    """Count the lists of domains, hosts and addresses that name a document's address.

    A recipe gives each list as `{name: …, path or url: …, sha256: …, license: …}`: text in UTF-8
    with a name a line, as `domains` and `urls` of the blacklists of Université Toulouse 1 have it
    (those that RefinedWeb began with: Penedo et al. 2023, arXiv 2306.01116, section G.1), or a file
    of hosts; `#` begins a comment, and `*.` before a domain says nothing more. A domain stands for
    all hosts under it, an address for all that lies under its path. Scheme, user, port, `www.`,
    query and fragment do not count, nor does the case of the host, which may be written in its own
    letters or as IDNA has it. Rules of other forms (`||example.org^`) name nothing.

    None is given here: what a list calls bad is its maker's judgement, under its own licence. Names
    are kept as hashes of 64 bits: that one of a million others is taken for one of five million
    that are listed has a probability of 3e-7.
    """
    urls = batch[URL.name].to_pylist()
    named = [_hashes_of(url) if url else [] for url in urls]
    rows = np.repeat(np.arange(len(urls)), [len(each) for each in named])
    hashes = np.array([name for each in named for name in each], np.uint64)
    counts = np.zeros(len(urls), np.int64)
    firsts: list[str | None] = [None] * len(urls)
    for each in lists:
        known = _hashes(files[each["sha256"]])
        places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
        for row in np.unique(rows[known[places] == hashes]).tolist():
            counts[row] += 1
            firsts[row] = firsts[row] or each["name"]
    missing = np.array([url is None for url in urls], np.bool_)
    return [pa.array(counts, URL_LIST_COUNT.type, mask=missing), pa.array(firsts, URL_LIST.type)]
