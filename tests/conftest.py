"""What holds for every test: how many examples Hypothesis tries, and that none uses the network."""

from __future__ import annotations

import functools
import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from outside import require

from phloem.sources.cards import source

settings.register_profile(
    "fast",
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # derandomized: a test fails for the change that broke it, not on a later day
settings.register_profile("nightly", max_examples=3000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a program that cannot run here, before any fixture of it begins."""
    for mark in item.iter_markers("needs"):
        require(*mark.args)


@pytest.fixture(autouse=True, scope="session")
def _cheap_disk_and_cards() -> Iterator[None]:
    """What costs a third of a test and is not its subject: no test pulls the plug of the machine,
    and none changes the project's own cards, some five hundred, which are parsed once.
    """
    own = Path(source.__file__).parents[1] / "entries"
    plain, once = source.read_yaml, functools.cache(source.read_yaml)

    def read_yaml(path: Path) -> object:
        return once(path) if path.parent == own else plain(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "read_yaml", read_yaml)
        patch.setattr(os, "fsync", lambda _: None)
        yield


class NetworkError(Exception):
    """A test asked for an address outside this machine."""


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            host = str(address[0]) if isinstance(address, tuple) else ""
            if host != "localhost" and not _is_loopback(host):
                msg = f"tests use no network, but one connects to {host}"
                raise NetworkError(msg)
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
