"""Files that a recipe gives an op: a model, scores, or lists with their licences."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from phloem.catalog.errors import PhloemError
from phloem.catalog.licenses import UNKNOWN, obligations
from phloem.catalog.plain import Json

MODEL, SCORES = "model", "scores"
"""Parameters by which a recipe gives an op a file: `model: {path: …, sha256: …}`, or `url`."""

LISTS = "lists"
"""The parameter by which a recipe gives an op lists, each a file with its licence."""

_PLACES = ("path", "url")
_SHA256 = re.compile("[0-9a-f]{64}")


class GivenError(PhloemError):
    """A recipe gives an op what is no file."""


@dataclass(frozen=True)
class GivenFile:
    """A file that a recipe gives an op.

    Attributes:
        sha256: Of the file, which is its name too.
        place: Its path, or its address.
        is_path: Which of both.
        kind: ``model``, ``scores`` or ``list``.
        license: SPDX expression that the recipe states of a list; empty for others.
    """

    sha256: str
    place: str
    is_path: bool
    kind: str = MODEL
    license: str = ""

    @property
    def name(self) -> str:
        """How the op asks for it."""
        return self.sha256


def given_name(given: Mapping[str, str]) -> str:
    """What a person calls a file that a recipe gives: its path or address."""
    return str(given.get("path") or given.get("url"))


def check_lists(
    op: str, given: Sequence[Mapping[str, str]], check: Callable[[Mapping[str, str]], object]
) -> None:
    """Raise GivenError naming every list of an op that a check raises an error of the project for.

    And every one that stands there twice.
    """
    faults = []
    for number, each in enumerate(given):
        said = f"list {number + 1}, {given_name(each)}"
        try:
            check(each)
        except PhloemError as error:
            faults.append(f"{said}: {error}")
        if each in given[:number]:
            faults.append(f"{said}: stands there already")
    if faults:
        raise GivenError(f"op {op}: " + "; ".join(faults))


def given_files(
    name: str, params: Mapping[str, Json], list_keys: Sequence[str]
) -> tuple[GivenFile, ...]:
    """The files among the parameters of an op.

    Args:
        name: Of the op, which every fault names.
        params: What the recipe says.
        list_keys: What is said of each list beside its file and licence; none: it takes no lists.

    Raises:
        GivenError: what should be a file is none; of lists, all that is wrong.
    """
    single = [kind for kind in (MODEL, SCORES) if params.get(kind) is not None]
    found = [_given_file(name, kind, params[kind]) for kind in single]
    if list_keys and LISTS in params:
        found += _given_lists(name, list_keys, params[LISTS])
    return tuple(found)


def without_places(params: Mapping[str, Json], list_keys: Sequence[str]) -> dict[str, Json]:
    """Parameters as a key depends on them: of a file its hash, and not where it lies.

    Nor under which licence a list is.
    """
    found = dict(params)
    for kind in (MODEL, SCORES):
        if found.get(kind) is not None:
            found[kind] = found[kind]["sha256"]
    if list_keys:
        found[LISTS] = [
            {key: value for key, value in each.items() if key not in {*_PLACES, "license"}}
            for each in found[LISTS]
        ]
    return found


def _given_file(name: str, kind: str, given: Json) -> GivenFile:
    asked = set(given) if isinstance(given, Mapping) else set()
    if asked not in ({"path", "sha256"}, {"url", "sha256"}):
        msg = f"op {name} takes {kind}: {{path: …, sha256: …}} or {{url: …, sha256: …}}"
        raise GivenError(msg)
    sha256, place = str(given["sha256"]), str(given.get("path") or given.get("url") or "")
    if not _SHA256.fullmatch(sha256):
        msg = f"op {name}: the sha256 of {kind} is {sha256[:80]!r}; it has 64 of 0-9 and a-f"
        raise GivenError(msg)
    if not place:
        raise GivenError(f"op {name}: the path of {kind} is empty")
    return GivenFile(sha256, place, is_path="path" in asked, kind=kind)


def _given_lists(name: str, keys: Sequence[str], given: Json) -> list[GivenFile]:
    shape = f"{{{', '.join(f'{key}: …' for key in keys)}, path or url: …, sha256: …, license: …}}"
    if not isinstance(given, (list, tuple)):
        raise GivenError(f"op {name} takes lists: [{shape}, …]")
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
        raise GivenError(f"op {name}: {'; '.join(faults)}; a list is {shape}")
    return found


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
