"""Which files of a dataset repository hold which configuration and split.

The rules are those of the library `datasets`: the card's `configs`, else names such as train and
test. Only files of the repository are taken, whatever the card says, and no script is run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from glob import escape

from fsspec.utils import glob_translate

from phloem.catalog.nearest import nearest
from phloem.sources.connector import Json, SourceError

DEFAULT = "default"
"""Name of the configuration of a repository that declares none."""

CONVERTED = "refs/convert/parquet"
"""The branch on which the Hub keeps a copy in Parquet of what others wrote, of scripts too."""

_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_FEW = 10  # names that a message lists
_SEP = "[-._ 0-9]"
_IN_FOLDERS = (
    "**/{word}/**",
    "**/{word}{sep}*/**",
    "**/*{sep}{word}/**",
    "**/*{sep}{word}{sep}*/**",
)
_IN_NAMES = ("**/{word}{sep}*", "**/*{sep}{word}{sep}*")
_SHARDED = "data/{split}-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]*.*"
_NO_DATA = frozenset(
    "README.md config.json dataset_info.json dataset_infos.json dummy_data.zip dataset_dict.json"
    " .gitattributes".split()
)


def configurations(card: Mapping[str, Json]) -> dict[str, Mapping[str, Json]]:
    """What a repository's card says of each configuration, by name; none if it says nothing."""
    found = card.get("configs")
    entries = found if isinstance(found, list) else []
    return {
        str(entry.get("config_name", DEFAULT)): entry
        for entry in entries
        if isinstance(entry, dict)
    }


def converted(paths: Sequence[str]) -> list[Json]:
    """What a card would say of the Hub's own copies in Parquet: `configuration/split/0000.parquet`.

    A split of which only the first gigabytes were copied lies under `partial-` and its name.
    """
    found: dict[str, set[str]] = {}
    for path in paths:
        config, _, rest = path.partition("/")
        if rest.endswith(".parquet") and "/" in rest:
            found.setdefault(config, set()).add(rest.partition("/")[0])
    return [
        {
            "config_name": config,
            "data_files": [
                {"split": split, "path": f"{escape(config)}/{escape(split)}/*.parquet"}
                for split in sorted(splits)
            ],
        }
        for config, splits in sorted(found.items())
    ]


def chosen(
    dataset: str, card: Mapping[str, Json], paths: Sequence[str], asked: Sequence[str]
) -> list[str]:
    """The configurations that are asked for, or the default one.

    Raises:
        SourceError: one is not there or none is the default, naming those that there are; or a
            script makes them.
    """
    there = configurations(card)
    if not there:
        _refuse_script(dataset, paths)
    names = list(there) or [DEFAULT]
    if not asked:
        marked = [name for name, entry in there.items() if entry.get("default") is True]
        if marked or DEFAULT in names or len(names) == 1:
            return marked[:1] or ([DEFAULT] if DEFAULT in names else names)
        msg = f"{dataset} has several configurations; give `configs`, of {_shown(names)}"
        raise SourceError(msg)
    for name in asked:
        if name not in names:
            raise SourceError(f"{dataset} has no configuration {name!r}; {nearest(name, names)}")
    return list(asked)


def data_files(
    dataset: str, card: Mapping[str, Json], paths: Sequence[str], config: str, split: str
) -> list[str]:
    """The paths of the files that hold a split of a configuration, sorted.

    Args:
        dataset: For messages: OWNER/NAME.
        card: The repository's card.
        paths: Of all files of the repository.
        config: One of `configurations`, or `DEFAULT`.
        split: Its name.

    Raises:
        SourceError: there is no such split, or it is made by a script.
    """
    entry = configurations(card).get(config, {})
    folder = str(entry.get("data_dir") or "").strip("/")
    inside = [path for path in paths if path.startswith(f"{folder}/")] if folder else list(paths)
    below = [path[len(folder) + 1 :] if folder else path for path in inside]
    patterns = _declared(entry.get("data_files"))
    if not patterns:
        _refuse_script(dataset, paths)
    patterns = patterns or _usual(below)
    if split not in patterns:
        msg = f"{dataset} has no split {split!r} of {config}; {nearest(split, patterns)}"
        raise SourceError(msg)
    found = sorted({p for pattern in patterns[split] for p in _matching(pattern, below)})
    if not found:
        raise SourceError(f"{dataset}: no file is in the split {split!r} of {config}")
    return [f"{folder}/{path}" if folder else path for path in found]


def _refuse_script(dataset: str, paths: Sequence[str]) -> None:
    """Raise SourceError if a script of the repository's name makes its splits."""
    if f"{dataset.rpartition('/')[2]}.py" in paths:
        raise SourceError(
            f"{dataset} is read by a script of its own, which is never run; name a dataset that"
            f" holds its files, or the Hub's copy of them (revision: {CONVERTED}) if there is one"
        )


def _declared(given: Json) -> dict[str, list[str]]:
    """Patterns by split, as a card writes `data_files`: a text, a list, or entries of a split."""
    if isinstance(given, str):
        return {"train": [given]}
    if isinstance(given, dict):
        return {str(split): _list(paths) for split, paths in given.items()}
    if not isinstance(given, list):
        return {}
    if all(isinstance(item, str) for item in given):
        return {"train": given} if given else {}
    entries = [item for item in given if isinstance(item, dict)]
    return {str(entry.get("split", "train")): _list(entry.get("path")) for entry in entries}


def _list(paths: Json) -> list[str]:
    given = paths if isinstance(paths, list) else [paths]
    return [path for path in given if isinstance(path, str)]


def _usual(paths: Sequence[str]) -> dict[str, list[str]]:
    """Patterns by split where the card says nothing: the first way of naming that files follow."""
    data = [path for path in paths if _is_data(path)]
    sharded = re.compile(r"data/([A-Za-z0-9_.]+)-\d{5}-of-\d{5}[^/]*\.[^/]*")
    names = dict.fromkeys(m[1] for path in data if (m := sharded.fullmatch(path)))
    if names:
        return {name: [_SHARDED.format(split=name)] for name in names}
    for ways in (_IN_FOLDERS, _IN_NAMES):
        patterns = {
            split: [way.format(word=word, sep=_SEP) for word in words for way in ways]
            for split, words in _KEYWORDS.items()
        }
        held = {
            split: found
            for split, found in patterns.items()
            if any(_matching(each, data) for each in found)
        }
        if held:
            return held
    return {"train": ["**"]}


def _matching(pattern: str, paths: Sequence[str]) -> list[str]:
    """The data files that a glob matches, as fsspec has globs; none outside the repository."""
    try:
        match = re.compile(glob_translate(pattern.removeprefix("./"))).match
    except (ValueError, re.error):
        return []
    return [path for path in paths if _is_data(path) and match(path)]


def _is_data(path: str) -> bool:
    parts = path.split("/")
    return parts[-1] not in _NO_DATA and not any(part.startswith((".", "__")) for part in parts)


def _shown(names: Sequence[str]) -> str:
    more = len(names) - _FEW
    return ", ".join(names[:_FEW]) + (f" and {more} more" if more > 0 else "")
