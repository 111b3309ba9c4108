"""Files at web addresses: downloaded once, as their hosts' rules for machines allow."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from phloem.sources.clients.snapshots import Bring, fetch_files, foreign_addresses, pin_files
from phloem.sources.connector import Files, Pin, from_network, nothing_missing
from phloem.sources.formats import read_files
from phloem.sources.formats.formats import Format, format_of
from phloem.sources.web import addresses
from phloem.sources.web.download import download, names_of

VERSION = 5  # raised when it reads other documents out of the same bytes
LIBRARIES = read_files.LIBRARIES


class Params(Format):
    """Which addresses, and where in their files the text and its names are."""

    urls: list[str] = Field(min_length=1, description="Addresses of files.")
    hosts: list[str] = Field(
        default=[], description="Globs of hosts that an address may redirect to but its own."
    )
    redirects: int = Field(
        default=5, ge=0, le=20, description="How many redirects of an address may follow."
    )

    @field_validator("urls")
    @classmethod
    def _are_addresses(cls, urls: list[str]) -> list[str]:
        faults = [fault for fault in map(addresses.fault, urls) if fault]
        if len({url.partition("://")[2] for url in urls}) < len(urls):
            faults.append("one stands there twice")
        if faults:
            said = f"web addresses; {'; '.join(faults)}"
            raise PydanticCustomError("web_addresses", "{said}", {"said": said})
        return urls


reach = from_network
unavailable = nothing_missing


def resolve(params: Params) -> Pin:
    """What the addresses give now, each downloaded once for its sha256.

    Raises SourceError for a file that cannot be had, that its host asks machines to leave, or whose
    format cannot be told.
    """
    names = names_of(params.urls)
    for name in names:
        format_of(params, name)
    pin = pin_files(zip(names, params.urls, strict=True), bring=_bring(params))
    return replace(pin, observed=tuple(sorted(pin.observed, key=str)))


def _bring(params: Params) -> Bring:
    return partial(download, hosts=params.hosts, redirects=params.redirects)


def foreign(params: Params, pin: Pin) -> list[str]:
    """Pinned files that are not at an address of the card."""
    return foreign_addresses(pin, dict(zip(names_of(params.urls), params.urls, strict=True)).get)


def fetch(params: Params, pin: Pin, folder: Path) -> Files:
    """Download the pinned files into a folder.

    Raises:
        GoneError: a file is not there any more.
        SourceError: other bytes came, or a host asks machines to leave it.
    """
    return fetch_files(params, pin, folder, foreign=foreign, bring=_bring(params))


splits = read_files.splits
read = read_files.read
