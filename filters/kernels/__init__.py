"""Compiled loops over Arrow's own buffers; each has a readable reference beside its op.

Numba's cache does not see that a function in another file changed, so the cache folder depends on
the hash of every file in this package. It must be set before numba compiles anything.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., object])


def source_hash() -> str:
    """The hash of this package's Python files, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _cache_folder() -> str:
    """Where compiled kernels are kept: the user's cache, or a private folder if it is read-only."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        (base / "phloem").mkdir(parents=True, exist_ok=True)
    except OSError:
        base = Path(tempfile.gettempdir()) / f"phloem-{os.getuid()}"
        base.mkdir(mode=0o700, exist_ok=True)
    return str(base / "phloem" / f"numba-{source_hash()}")


if "NUMBA_CACHE_DIR" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = _cache_folder()  # for this process's children too
    numba.config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]  # numba may be imported already


def kernel(function: _Function) -> _Function:
    """Compile a function when it is first called, and keep the result on disk."""
    return cast("_Function", numba.njit(cache=True, nogil=True)(function))


def inlined(function: _Function) -> _Function:
    """Compile a small function with the kernels that call it."""
    return cast("_Function", numba.njit(function))
