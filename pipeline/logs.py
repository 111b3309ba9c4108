"""What a run logs: plain lines on stderr, or JSON where `PHLOEM_LOG=json` asks for it.

A record says which run and stage it is of. No record holds text of a document, and of an error
that is none of ours nothing but its kind: its message may quote what it choked on.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from phloem.catalog.withheld import withheld, withheld_in

Json = Any

VARIABLE = "PHLOEM_LOG"
JSON = "json"

logger = logging.getLogger(__name__)
logger.addHandler(logging.NullHandler())  # without `set_up`, Python itself would print warnings

_FACTS = "phloem_facts"  # attribute of a log record that holds what else it says

# Of the run that this process drives: it drives one at a time, and logs of it in several threads.
_bound: dict[str, str] = {}


@contextmanager
def bound(name: str, value: str) -> Iterator[None]:
    """Every record logged meanwhile, in whatever thread, says this: a run's id, or its stage."""
    before = _bound.get(name)
    _bound[name] = value
    try:
        yield
    finally:
        if before is None:
            del _bound[name]
        else:
            _bound[name] = before


def event(name: str, facts: Mapping[str, Json], level: int = logging.INFO) -> None:
    """Log that something happened, with its numbers and names; shown only as JSON.

    People see the same as tables and errors: it would be told twice.
    """
    logger.log(level, "%s", name, extra={_FACTS: dict(facts)})


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, run, stage, and an event's facts."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as a line."""
        facts: Mapping[str, Json] = getattr(record, _FACTS, {})
        value = {
            **facts,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_bound,
        }
        if record.exc_info and record.exc_info[0]:
            value["error"] = record.exc_info[0].__name__
        return json.dumps(withheld_in(value), ensure_ascii=True)


class Lines(logging.Formatter):
    """A plain line, without what is never told."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as a line."""
        return withheld(super().format(record))


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to whatever stderr is at the moment."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        self.stream = sys.stderr
        super().emit(record)


def quiet_clients() -> None:
    """Leave out what asyncio logs of an object store's requests that were given up.

    The call that made the request raises its error, which is told.
    """
    logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)


def set_up(environment: Mapping[str, str] = os.environ) -> None:
    """Make the project's loggers write to stderr: JSON from `info` on, or lines from `warning` on.

    Calling it again changes the form and adds no second copy of a line.
    """
    quiet_clients()
    ours = logging.getLogger("phloem")
    handler = _Stderr()
    if environment.get(VARIABLE) == JSON:
        handler.setFormatter(JsonLines())
        ours.setLevel(logging.INFO)
    else:
        handler.setFormatter(Lines("warning: %(message)s"))
        handler.addFilter(lambda record: not hasattr(record, _FACTS))
        ours.setLevel(logging.WARNING)
    # Of a collector that does not answer one line is enough, in the same form as all others.
    others = logging.getLogger("opentelemetry")
    others.setLevel(logging.ERROR)
    for each in (ours, others):
        each.handlers[:] = [handler]
        each.propagate = False
