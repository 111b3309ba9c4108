"""Compiled loops over Arrow's own buffers; each has a readable reference beside its op.

Numba's cache does not see that a function in another file changed, so the cache folder depends on
the hash of every file in this package. It must be set before numba compiles anything.

Numba takes longer to import than all else that a command needs, and most commands run no loop: it
is imported by the first call of one.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from phloem.catalog.kept import kept_folder

_ALL = "all-compiled"

_Function = TypeVar("_Function", bound=Callable[..., object])


def source_hash() -> str:
    """The hash of this package's Python files, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


if "NUMBA_CACHE_DIR" not in os.environ:  # for this process's children too
    os.environ["NUMBA_CACHE_DIR"] = str(kept_folder() / f"numba-{source_hash()}")


def cache_folder() -> Path:
    """Where this process keeps compiled kernels, and finds them."""
    return Path(os.environ["NUMBA_CACHE_DIR"])


def all_compiled() -> bool:
    """Whether the cache holds every kernel, as far as it was told."""
    return (cache_folder() / _ALL).exists()


def note_all_compiled() -> None:
    """Note that the cache holds every kernel; for other kernels there is another cache."""
    with suppress(OSError):  # a folder that was named and cannot be written: each run looks again
        cache_folder().mkdir(parents=True, exist_ok=True)
        (cache_folder() / _ALL).touch()


class _Compiled:
    """A function that numba compiles when it is first called, by Python or by a kernel.

    Attributes:
        py_func: The function in Python.
        dispatcher: What numba makes of it; both are named as numba names them.
    """

    def __init__(self, function: Callable[..., object], settings: dict[str, bool]) -> None:
        self.py_func = function
        self._settings = settings
        functools.update_wrapper(self, function)

    @functools.cached_property
    def dispatcher(self) -> Any:
        import numba

        numba.config.CACHE_DIR = str(cache_folder())  # numba may have been imported before this
        return numba.njit(**self._settings)(self.py_func)

    @property
    def _numba_type_(self) -> Any:
        """What numba asks any object for that a kernel names."""
        return self.dispatcher._numba_type_

    def __call__(self, *given: object) -> object:
        return self.dispatcher(*given)


def kernel(function: _Function) -> _Function:
    """Compile a function when it is first called, and keep the result on disk."""
    return cast("_Function", _Compiled(function, {"cache": True, "nogil": True}))


def inlined(function: _Function) -> _Function:
    """Compile a small function with the kernels that call it; neither it nor its callees allocate.

    So no reference to an array is counted, as it is otherwise at each call that holds a loop: two
    atomic operations an array, which take as long as a short loop.
    """
    return cast("_Function", _Compiled(function, {"_nrt": False}))
