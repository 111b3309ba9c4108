"""What is kept between commands as it is slow to make: compiled loops, parsed cards, templates.

It lies in the user's cache, outside every root. All of it is made again if it is gone.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, cast

_Value = TypeVar("_Value")

_DATE = "\0date"  # how a date stands in JSON: no key of a YAML file holds a NUL


def kept_folder() -> Path:
    """The user's cache of Phloem, or a private folder if nothing can be written there; it is there.

    Raises PermissionError where that folder is somebody else's: what lies there is run.
    """
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "phloem"
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except (OSError, RuntimeError):  # RuntimeError: no home is known of this user
        writable = False
    if not writable:
        folder = Path(tempfile.gettempdir()) / f"phloem-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.lstat().st_uid != os.getuid():
            msg = f"{folder} belongs to somebody else; remove it or set TMPDIR"
            raise PermissionError(msg)
    return folder


def kept(name: str, stamp: str, make: Callable[[], _Value]) -> _Value:
    """What `make` gives, read from the cache if it was made of the same.

    Args:
        name: Of the file in the cache.
        stamp: Differs where `make` would give something else.
        make: Gives JSON, in which dates may stand; a tuple comes back as a list.
    """
    path = kept_folder() / f"{name}.json"
    with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
        held = json.loads(path.read_bytes(), object_hook=_restored)
        if held["stamp"] == stamp:
            return cast("_Value", held["value"])
    made = make()
    part = path.with_suffix(f".tmp-{uuid.uuid4().hex}")
    try:
        part.write_text(json.dumps({"stamp": stamp, "value": made}, default=_said), "utf-8")
        part.replace(path)
    except (OSError, TypeError, ValueError):  # then it is made each time
        part.unlink(missing_ok=True)
    return made


def _said(value: object) -> dict[str, str]:
    if type(value) is not dt.date:
        raise TypeError(type(value).__name__)
    return {_DATE: value.isoformat()}


def _restored(value: dict[str, object]) -> object:
    return dt.date.fromisoformat(str(value[_DATE])) if value.keys() == {_DATE} else value
