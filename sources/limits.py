"""How much a run takes of each thing that a source or a task can have too much of."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Json = Any

# Arrow's 32-bit offsets reach 2 GiB: a batch holds one record of this size and what came before.
_LARGEST = 2**30
_OF_TASKS = {"task_seconds", "task_bytes"}


class Limits(BaseModel):
    """What a recipe may set under `limits`; every default is safe on a small machine.

    Each description says what is bounded, what happens beyond, and why the default is what it is.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    document_bytes: int = Field(
        default=64 * 2**20,
        gt=0,
        le=_LARGEST,
        description="UTF-8 bytes of one document's text. A larger one is quarantined. The default"
        " is sixteen times a Bible (4 MB): more is a collection that its owner should have split,"
        " and each stage holds a document in memory several times.",
    )
    record_bytes: int = Field(
        default=256 * 2**20,
        gt=0,
        le=_LARGEST,
        description="Bytes of one record as it is stored, unpacked: a line of JSON Lines, a block"
        " or file of plain text, a cell of Parquet or Arrow. A larger one is quarantined; a line"
        " or block is passed over without being held. The default leaves a document of four times"
        " the usual bound room for its escapes and its other keys.",
    )
    member_bytes: int = Field(
        default=64 * 2**20,
        gt=0,
        le=_LARGEST,
        description="Bytes of one member of a package, unpacked. A larger one is quarantined. The"
        " longest page of the documentation packages read so far has 6 MB; a larger member is"
        " data, not a page.",
    )
    archive_members: int = Field(
        default=500_000,
        gt=0,
        description="Members of one package, folders and links of a tar too. What comes after is"
        " one quarantine row. The largest documentation package seen holds about 12,000.",
    )
    unpacked_ratio: int = Field(
        default=250,
        gt=0,
        description="Bytes out of a packed stream or package per byte in, once more than 64 MiB"
        " came out. The rest is one quarantine row. Text packs 3 to 20 times, logs of repeated"
        " lines up to about 100 times; gzip's own bound is 1032 (RFC 1951).",
    )
    stream_bytes: int = Field(
        default=64 * 2**30,
        gt=0,
        description="Bytes out of one packed stream or package. The rest is one quarantine row."
        " One worker would read as much text for more than ten minutes: its owner should have"
        " split it.",
    )
    row_group_bytes: int = Field(
        default=16 * 2**30,
        gt=0,
        description="Unpacked bytes of one row group of a Parquet file, as its footer says. A"
        " larger one is quarantined with all its rows. Decoding goes page by page, but a writer of"
        " larger ones did not mean them to be read by row group.",
    )
    record_seconds: int = Field(
        default=10,
        gt=0,
        description="Seconds of processor time that one record may take: its extraction, or one"
        " step of reading, such as a mebibyte out of a packed stream. A record that takes more is"
        " quarantined; what cannot be got over is, with the rest of its file. A page of 20 MB takes"
        " about one.",
    )
    record_memory_bytes: int = Field(
        default=512 * 2**20,
        gt=0,
        description="Resident bytes that the extraction of one record may add to its process. One"
        " that needs more is quarantined. A page needs about ten times its size.",
    )
    reading_memory_bytes: int = Field(
        default=2 * 2**30,
        gt=0,
        description="Resident bytes of the process that reads a part of a source, but for files"
        " that it maps. Where it needs more, the rest of the file is quarantined. A record of"
        " 256 MiB takes 1.7 GB while it is read.",
    )
    split_seconds: int = Field(
        default=1800,
        gt=0,
        description="Seconds of processor time that reading and extracting one part of a source may"
        " take. What is left of it then is quarantined. Half of what a task has: records that each"
        " stay below their bound cost a hostile source its rest, and no run its end. A part of an"
        " honest one takes a minute.",
    )
    task_seconds: int = Field(
        default=3600,
        gt=0,
        description="Wall-clock seconds of one task on this machine. A task that takes longer is"
        " ended and fails; the others go on. The longest task of the recipe `debian` takes under"
        " a minute.",
    )
    task_bytes: int = Field(
        default=4 * 2**30,
        gt=0,
        description="Resident bytes of the worker process that does a task on this machine, but"
        " for files that it maps. A worker above it is ended; its tasks are tried once more,"
        " alone, then the one that needs more fails; the others go on. A worker of the recipe"
        " `debian` has at most 1 GB. What reads and extracts is a process of its own, with its own"
        " bounds.",
    )

    def deciding(self) -> dict[str, Json]:
        """Those that decide what is read: they stand in the keys of what is ingested."""
        return self.model_dump(exclude=_OF_TASKS)

    def told(self, name: str) -> str:
        """A limit as the end of a reason: its value, its unit, and the name to raise it by."""
        value, unit = getattr(self, name), name.rpartition("_")[2]
        return f"{value} {unit.removesuffix('s') if value == 1 else unit} (limits.{name})"
