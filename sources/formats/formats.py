"""What files are taken for: the format, the columns and the language of each, by its name."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from phloem.sources.connector import SourceError, Strict
from phloem.sources.formats.archives import MEDIA_TYPES, Package
from phloem.sources.formats.columns import Columns
from phloem.sources.formats.read_plain import Documents
from phloem.sources.formats.unpack import compression_of, without_query

FORMATS = {
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "json",
    "parquet": "parquet",
    "pq": "parquet",
    "arrow": "arrow",
    "feather": "arrow",
    "ipc": "arrow",
    "csv": "csv",
    "tsv": "csv",
    "txt": "txt",
    "text": "txt",
    "zip": "zip",
    "tar": "tar",
}
"""Format by the ending of a name."""

KNOWN = tuple(sorted(set(FORMATS.values())))
"""All formats."""

_SHORT = {".tgz": ".tar.gz", ".txz": ".tar.xz", ".tzst": ".tar.zst", ".tbz2": ".tar.bz2"}
_UNREAD = {  # packings and archives that nothing here unpacks, by the ending of a name
    ".7z": "7-Zip",
    ".br": "brotli",
    ".lz": "lzip",
    ".lz4": "lz4",
    ".lzma": "lzma",
    ".rar": "RAR",
    ".snappy": "snappy",
    ".sz": "snappy",
    ".z": "compress",
}
_AS_IT_LIES = frozenset({"arrow", "parquet", "zip"})  # their readers go to and fro in a file
ARCHIVES = frozenset({"zip", "tar"})
"""Formats whose members are files again."""


BESIDE = (".[!./]*", "*/.[!./]*", "__MACOSX/*", "_SUCCESS", "*/_SUCCESS")
"""Globs of what programs put into an archive beside data."""


class Contents(Strict):
    """What of a file is a document, and where the parts of one are.

    Attributes:
        documents: Of plain text. N lines are counted from a file's start, blank ones too.
    """

    text_column: str = Field(
        default="text",
        description="Column or key that holds the text, or a list of its lines; a.b, as in all"
        " columns, is b inside a.",
    )
    id_column: str | None = Field(default=None, description="Column of names, each there once.")
    language_column: str | None = Field(default=None, description="Column of BCP-47 tags.")
    title_column: str | None = Field(default=None, description="Column of titles.")
    url_column: str | None = Field(default=None, description="Column of addresses.")
    license_column: str | None = Field(
        default=None,
        description="Column of SPDX expressions, addresses of Creative Commons or `public domain`;"
        " what is none of these counts as unknown.",
    )
    columns: list[str] = Field(
        default=[], description="Names of all columns of CSV, where its first row is no header."
    )
    quotes: bool = Field(
        default=True, description="Whether a field of CSV may stand in double quotes."
    )
    documents: Documents = Field(
        default="file",
        description="What a document is in plain text: file, paragraph (between blank lines), line,"
        " {lines: N}, or {separator: TEXT}, where that is all that stands on a line.",
    )
    media_type: str = Field(
        default="text/plain", description="Of the text; unset, endings such as .html tell."
    )

    @field_validator("columns")
    @classmethod
    def _hold_those_asked_for(cls, columns: list[str], info: ValidationInfo) -> list[str]:
        asked = [said for field, said in info.data.items() if field.endswith("_column") and said]
        twice = [f"{name!r} stands there twice" for name in columns if columns.count(name) > 1]
        faults = [*twice, *(f"{name!r} is not there" for name in asked if name not in columns)]
        if faults:
            said = f"the names of all columns; {faults[0]}"
            raise PydanticCustomError("column_names", "{said}", {"said": said})
        return columns


class Format(Contents):
    """How files are read, and where in them the text and its names are.

    Attributes:
        format: None: by the ending of each name, before .bz2, .gz, .xz or .zst. Of an archive,
            that of its members, where it is no archive's. ``jsonl`` is an object a line; ``json``
            an array, or objects over several lines; which of the two is seen by how a file begins.
        languages: Glob -> BCP-47 tag of what it matches first, unless a column says.
    """

    format: Literal["jsonl", "json", "csv", "parquet", "arrow", "txt", "zip", "tar"] | None = Field(
        default=None, description="Null: by the ending of the name."
    )
    include: list[str] = Field(
        default=["*"], description="Globs over the members of an archive; * also matches /."
    )
    exclude: list[str] = Field(
        default=list(BESIDE),
        description="Globs of members left out all the same; unless given, hidden files.",
    )
    languages: dict[str, str] = Field(
        default={}, description="Glob over names, addresses and members: BCP-47 tag."
    )

    def of(self, _name: str, /) -> Package:
        """What the card says of an archive besides: nothing."""
        return Package()


def format_of(params: Format, name: str) -> str:
    """The format of a file.

    Raises SourceError if its name does not tell and the card neither, or where it is packed as this
    format is not read.
    """
    unread = _UNREAD.get(PurePosixPath(without_query(name)).suffix.lower())
    if unread:
        raise SourceError(f"{name} is packed by {unread}, which is not read; unpack it")
    kind, packed = _format_of(params, name), compression(name)
    if packed and kind in _AS_IT_LIES:
        raise SourceError(f"{name}: {kind} is read as it lies and not out of {packed}; unpack it")
    return kind


def _format_of(params: Format, name: str) -> str:
    plain = plain_name(name)
    ending = plain.lower().rpartition(".")[2]
    told = FORMATS.get(ending) if "." in plain else None
    if told in ARCHIVES:
        return told
    if params.format:
        return params.format
    if told:
        return told
    if "media_type" in params.model_fields_set or f".{ending}" in MEDIA_TYPES:
        return "txt"
    known = ", ".join(KNOWN)
    raise SourceError(f"{name}: the format cannot be told from its name; give `format`: {known}")


def plain_name(name: str) -> str:
    """A name without the ending of its compression."""
    return compression_of(_long(name))[1]


def compression(name: str) -> str | None:
    """How a file is packed, by its name."""
    return compression_of(_long(name))[0]


def _long(name: str) -> str:
    """A name whose short ending is written out."""
    name = without_query(name)
    for short, ending in _SHORT.items():
        if name.lower().endswith(short):
            return name[: -len(short)] + ending
    return name


def language_of(params: Format, name: str) -> str | None:
    """The tag of the first glob that a name matches, with or without a folder before it."""
    names = (name, f"/{name}")
    found = (tag for glob, tag in params.languages.items() for n in names if fnmatchcase(n, glob))
    return next(found, None)


def columns_of(params: Format, name: str) -> Columns:
    """Where the parts of a file's documents are, and of which media type their texts."""
    ending = PurePosixPath(plain_name(name)).suffix.lower()
    given = "media_type" in params.model_fields_set or FORMATS.get(ending[1:], "txt") != "txt"
    told = None if given else MEDIA_TYPES.get(ending)
    return Columns(
        text=params.text_column,
        id=params.id_column,
        language=params.language_column,
        title=params.title_column,
        url=params.url_column,
        media_type=told or params.media_type,
        license=params.license_column,
        header=tuple(params.columns),
        quotes=params.quotes,
    )
