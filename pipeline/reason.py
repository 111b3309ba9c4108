"""What went wrong, in one line that may be printed, logged and kept."""

from __future__ import annotations

import sys
import traceback

from phloem.catalog.errors import PhloemError

NO_COMMIT = "the worker ended without committing what it should"


def reason_of(error: BaseException | None) -> str:
    """One line for a person, without text of a document.

    The message of the error, or of one that it came from, if that is ours or the system's; else
    only its kind and the line of code that raised it: its message may quote what it choked on.
    """
    if error is None:
        return NO_COMMIT
    chain = [error]
    while inner := _origin(chain[-1]):
        chain.append(inner)
    ours = [each for each in chain if isinstance(each, PhloemError)]
    system = [each for each in chain if isinstance(each, OSError)]
    if ours or system:
        # Beam adds to the message where it was raised, in its own words.
        return " ".join(str((ours or system)[0]).split(" [while running")[0].split())
    return f"{type(chain[-1]).__name__} {_place_of(chain[-1])}; its message may quote a document"


def _origin(error: BaseException) -> BaseException | None:
    """The error that this one came from, unless whoever raised it left that out."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _place_of(error: BaseException) -> str:
    """The innermost line of code that is neither Python's own nor an installed library's."""
    place = "in a library"
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = frame.f_globals.get("__name__", "")
        top = module.partition(".")[0]
        installed = "site-packages" in frame.f_code.co_filename
        if top == "phloem" or not (installed or top in sys.stdlib_module_names | {"pyarrow"}):
            place = f"at {module} line {line}"
    return place
