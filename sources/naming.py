"""What packages and versions may be called: nothing that a client could take for an option."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import AfterValidator

from phloem.sources.connector import WrongError

T = TypeVar("T", bound=Iterable[str])


def each(pattern: str, what: str) -> AfterValidator:
    """What a field of names is held to: each of them, or of a mapping's keys, is what it should be.

    Args:
        pattern: Of a whole name.
        what: What it should be, for the message: host name of a site, such as stackoverflow.com.
    """

    def checked(names: T) -> T:
        wrong = [name for name in names if not re.fullmatch(pattern, name)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no {what}")
        return names

    return AfterValidator(checked)


@dataclass(frozen=True)
class Naming:
    """What an index's packages and versions look like: no option, path or address does.

    Attributes:
        name: Pattern of a whole name.
        version: Pattern of a whole version.
        standard: Where both are written down.
    """

    name: str
    version: str
    standard: str

    def fault(self, name: str, version: str | None) -> str | None:
        """Why a client must not be asked for this; None if it may."""
        if not re.fullmatch(self.name, name):
            return f"{name!r} is no package's name"
        if version is not None and not re.fullmatch(self.version, version):
            return f"{version!r} is no version of {name}"
        return None

    def require(self, name: str, version: str | None) -> None:
        """Raise WrongError if a client must not be asked for this, card or lock file say it."""
        fault = self.fault(name, version)
        if fault:
            raise WrongError(f"{fault} ({self.standard}); correct the card, or lock it again")
