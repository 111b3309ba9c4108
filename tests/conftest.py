"""What holds for every test: how many examples Hypothesis tries, and that none uses the network."""

from __future__ import annotations

import functools
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer.main
import typer.testing
from hypothesis import HealthCheck, settings
from outside import require

from phloem.sources.cards import dossier, source

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
def _done_once() -> Iterator[None]:
    """What costs half of a test and is not its subject is done once: the project's own cards, some
    five hundred, are parsed and checked, and the command line is put together. And no test pulls
    the plug of the machine.
    """
    own = Path(source.__file__).parents[1] / "entries"

    def once(function: Callable[..., object]) -> Callable[..., object]:
        found: dict[Path, object] = {}

        def of_path(path: Path, *given: object) -> object:
            if path.parent != own:
                return function(path, *given)
            if path not in found:
                found[path] = function(path, *given)
            return found[path]

        return of_path

    with pytest.MonkeyPatch.context() as patch:
        for module in (source, dossier):
            patch.setattr(module, "read_yaml", once(module.read_yaml))
        patch.setattr(source, "check_card", once(source.check_card))
        patch.setattr(typer.testing, "_get_command", functools.cache(typer.main.get_command))
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
