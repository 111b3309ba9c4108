"""What a lint rule is: its number, never given to another, its reasons, and what it looks for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from phloem.sources.cards.dossier import Dossier

Kind = Literal["error", "hint"]
Found = tuple[str, str, str]  # file, field, message
Check = Callable[[Dossier], Iterator[Found]]


@dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes:
        number: S and three digits.
        kind: `error` stops a merge, `hint` does not.
        why: What goes wrong otherwise.
        fix: What to do.
        check: Finds what it rejects, which is the first sentence of what it says of itself.
    """

    number: str
    kind: Kind
    why: str
    fix: str
    check: Check

    @property
    def what(self) -> str:
        """What it rejects."""
        said = (inspect.getdoc(self.check) or "").split("\n\n")[0].removesuffix(".")
        return said[:1].lower() + said[1:]


def error(number: str, *, why: str, fix: str) -> Callable[[Check], Rule]:
    """Make a rule that stops a merge of the function that finds what it rejects."""
    return partial(Rule, number, "error", why, fix)


def hint(number: str, *, why: str, fix: str) -> Callable[[Check], Rule]:
    """Make a rule that stops nothing of the function that finds what it rejects."""
    return partial(Rule, number, "hint", why, fix)
