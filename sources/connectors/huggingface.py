"""Datasets of the Hugging Face Hub, or of a server that speaks its interface, at one commit.

Their files come whole and checked before a document of them is read: no code of a dataset runs, no
commit that moved is read, and a run that has them needs no network. The files of a dataset, and row
groups or ranges of each, are read in parallel.
"""

from __future__ import annotations

import os
import re
import tempfile
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import Field

from phloem.catalog.withheld import masked
from phloem.sources.clients import hub
from phloem.sources.clients.hub_api import Hub, HubFile
from phloem.sources.clients.snapshots import fetch_files
from phloem.sources.clients.standing import Served, Told
from phloem.sources.connector import (
    Batches,
    Files,
    GoneError,
    Pin,
    PinnedFile,
    SourceError,
    Split,
    from_network,
    nothing_missing,
)
from phloem.sources.formats import read_files
from phloem.sources.formats.formats import FORMATS, Contents, Format, plain_name
from phloem.sources.limits import Limits
from phloem.sources.web.download import Downloaded, download
from phloem.sources.web.patience import RefusedError

HUB = "https://huggingface.co"

HOSTS = ["*.huggingface.co", "*.hf.co"]
"""Where the Hub's files lie: it redirects to stores of its own."""

_COMMIT = r"[0-9a-f]{40}"

VERSION = 5  # raised when it reads other documents out of the same bytes
LIBRARIES = read_files.LIBRARIES


class Params(Contents):
    """Which part of a dataset, and where in it the text and its names are."""

    dataset: str = Field(
        pattern=r"^([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*$",
        description="OWNER/NAME on the Hub.",
    )
    configs: dict[str, str | None] | list[str] = Field(
        default=[], description="Configurations, or configuration: BCP-47 tag; none: the default."
    )
    split: str | list[str] = Field(
        default="train", min_length=1, description="Name of the split, or of several."
    )
    languages: dict[str, str] = Field(
        default={}, description="Glob over files: BCP-47 tag, where a configuration has several."
    )
    revision: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*$",
        description="Commit, tag or branch to lock; null: the default branch; refs/convert/parquet:"
        " the Hub's copy in Parquet.",
    )


reach = from_network
unavailable = nothing_missing


def resolve(params: Params) -> Pin:
    """The commit that the card's revision names now, and its files of these configurations.

    The Hub knows the sha256 of files in its large store; small ones are downloaded for theirs.

    Raises:
        GoneError: there is no such dataset, or no such revision of it.
        SourceError: it is gated, made by a script, or lacks a configuration, a split or a format.
    """
    server = _server()
    commit, about = server.dataset(params.dataset, params.revision)
    card = {"configs": about.get("configs")}
    tree = server.files(params.dataset, commit)
    by_path = {file.path: file for file in tree}
    if params.revision == hub.CONVERTED:
        card = {"configs": hub.converted(list(by_path))}
    splits = [params.split] if isinstance(params.split, str) else params.split
    files: list[PinnedFile] = []
    with tempfile.TemporaryDirectory(prefix="phloem-") as folder:
        for config in hub.chosen(params.dataset, card, list(by_path), list(params.configs)):
            paths = {
                path: None  # in their order, and each once
                for split in splits
                for path in hub.data_files(params.dataset, card, list(by_path), config, split)
            }
            files += [
                _pinned(params, commit, config, by_path[path], Path(folder))
                for path in _readable(params, config, list(paths))
            ]
    return Pin(commit, tuple(files))


def _server() -> Hub:
    from huggingface_hub import get_token  # loaded late: most runs have no such source

    return Hub(_endpoint(), get_token())


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", HUB).rstrip("/")


def _readable(params: Params, config: str, paths: list[str]) -> list[str]:
    """The files whose format is known. Raises SourceError if none is."""
    read = [path for path in paths if Path(plain_name(path)).suffix.lower()[1:] in FORMATS]
    if not read:
        endings = sorted({Path(path).suffix for path in paths})
        msg = f"{params.dataset}: no file of {config} can be read; they end in {endings}"
        raise SourceError(msg)
    return read


def _pinned(params: Params, commit: str, config: str, file: HubFile, folder: Path) -> PinnedFile:
    name = f"{config}/{file.path}"
    url = f"{_endpoint()}/datasets/{params.dataset}/resolve/{commit}/{quote(file.path)}"
    if file.stored:
        return PinnedFile(name, *file.stored, url)
    found = _bring(params, url, folder / "file")
    found.path.unlink()
    return PinnedFile(name, found.sha256, found.bytes, url)


def _bring(params: Params, url: str, target: Path, *, pin: PinnedFile | None = None) -> Downloaded:
    server = _server()
    is_its_own = urlsplit(url)[:2] == urlsplit(server.address)[:2]
    try:
        return download(
            url,
            target,
            hosts=HOSTS,
            pin=pin,
            headers=server.headers if is_its_own else {},
            crawler=False,  # an interface for programs: its terms are those of the Hub
        )
    except RefusedError:
        raise server.gated(params.dataset) from None


def foreign(params: Params, pin: Pin) -> list[str]:
    """Pinned files of another dataset, configuration, commit or host than the card's.

    The host is the Hub's, or what `HF_ENDPOINT` names on this machine.
    """
    if not re.fullmatch(_COMMIT, pin.version):
        return [f"{pin.version!r} is no commit of a dataset"]
    revision = params.revision or ""
    if re.fullmatch(_COMMIT, revision) and revision != pin.version:
        return [f"it is locked at {pin.version}, and the card names {revision}"]
    hosts = {HUB, _endpoint()}
    ours = {file.name: _address(params, pin.version, file) for file in pin.files}
    return [
        f"{file.name} is locked at {masked(file.url or 'no address')}, which is not of"
        f" {params.dataset} at {pin.version}, or of no configuration that the card names"
        for file in pin.files
        if not any(file.url == f"{host}{ours[file.name]}" for host in hosts)
    ]


def _address(params: Params, commit: str, file: PinnedFile) -> str | None:
    """A pinned file's address without the host; None if its configuration is none of the card's."""
    config, _, path = file.name.partition("/")
    if (params.configs and config not in params.configs) or ".." in path.split("/"):
        return None
    return f"/datasets/{params.dataset}/resolve/{commit}/{quote(path)}"


def served(params: Params, pin: Pin, _folder: Path) -> Told:
    """What the Hub tells of each pinned file: the sha256 of those in its large store."""
    server = _server()
    tree = {file.path: file.stored for file in server.files(params.dataset, pin.version)}
    now, _ = server.dataset(params.dataset, params.revision)
    newest = now if now != pin.version else None
    found: dict[str, Served | GoneError] = {}
    for file in pin.files:
        path = file.name.partition("/")[2]
        sha256, size = tree.get(path) or (None, None)
        gone = GoneError(f"{params.dataset} holds no {path} at {pin.version}")
        found[file.name] = Served(sha256, size, newest) if path in tree else gone
    return found


def fetch(params: Params, pin: Pin, folder: Path) -> Files:
    """Download the pinned files into a folder.

    Raises:
        GoneError: the commit or a file of it is not there any more.
        SourceError: other bytes came, or the dataset is gated.
    """
    return fetch_files(params, pin, folder, foreign=foreign, bring=partial(_bring, params))


def _format(params: Params) -> Format:
    """The parameters as those of files: a file's name begins with its configuration."""
    languages = params.configs if isinstance(params.configs, dict) else {}
    given: dict[str, Any] = params.model_dump(
        exclude={"dataset", "configs", "split", "revision", "languages"}, exclude_unset=True
    )
    tags = {f"{escape(name)}/*": tag for name, tag in languages.items() if tag}
    return Format(**given, languages={**params.languages, **tags})


def splits(params: Params, pin: Pin, files: Files) -> list[Split]:
    """Parts of files, as in `read_files.splits`.

    Raises SourceError if the text column is in none of the first records.
    """
    return read_files.splits(_format(params), pin, files)


def read(params: Params, split: Split, files: Files, limits: Limits) -> Batches:
    """The documents of a split, named as in `read_files.read`."""
    return read_files.read(_format(params), split, files, limits)
