"""Which columns or keys of a file hold a document's parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Columns:
    """Names of the columns or keys that hold a document's parts; None where there is none.

    In JSON and tables a name that is not there itself is a path: ``a.b`` is `b` of what `a` holds.

    Attributes:
        header: Of CSV without a header, the names of all columns; else none.
        quotes: Whether a field of CSV may stand in quotes.
    """

    text: str
    id: str | None
    language: str | None
    title: str | None
    url: str | None
    media_type: str
    license: str | None = None
    header: tuple[str, ...] = ()
    quotes: bool = True

    def named(self) -> list[str]:
        """The columns that are asked for, each once."""
        asked = (self.text, self.id, self.language, self.title, self.url, self.license)
        return list(dict.fromkeys(filter(None, asked)))
