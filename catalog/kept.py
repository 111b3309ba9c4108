"""What is kept between commands as it is slow to make: compiled loops, parsed cards, templates.

It lies in the user's cache, outside every root. All of it is made again if it is gone.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, cast

_Value = TypeVar("_Value")


def kept_folder() -> Path:
    """The user's cache of Phloem, or a private folder if that is read-only; it is there."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "phloem"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"phloem-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def kept(name: str, stamp: str, make: Callable[[], _Value]) -> _Value:
    """What `make` gives, read from the cache if it was made of the same.

    Args:
        name: Of the file in the cache.
        stamp: Differs where `make` would give something else.
        make: Gives plain data.
    """
    path = kept_folder() / f"{name}.pickle"
    with suppress(OSError, EOFError, ValueError, TypeError, pickle.UnpicklingError):
        was, value = pickle.loads(path.read_bytes())  # noqa: S301 - the user's own, as is numba's
        if was == stamp:
            return cast("_Value", value)
    made = make()
    with suppress(OSError), tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(pickle.dumps((stamp, made)))
        file.flush()
        Path(file.name).replace(path)
    return made
