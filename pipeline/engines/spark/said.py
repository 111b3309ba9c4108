"""What is told of a job that failed: of Spark's and Beam's words only what is no document's.

The message of a job's error, and the log of the job server, may quote whatever a worker choked on.
So nothing of them is passed on but what has one of the forms below: names, numbers, and lines that
one of our own workers wrote for a person to read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from phloem.pipeline.engines.engine import WorkerError

LINES = 5  # of each form: a job of many tasks may fail in as many ways
LINE_CHARS = 1_000

# How Python ends the traceback of an error of ours, and what Beam adds to it.
_WORKER = re.compile(
    rf"^{re.escape(f'{WorkerError.__module__}.{WorkerError.__qualname__}')}: "
    r"(on worker [\w.-]+: [^\n]+?)(?: \[while running '[^'\n]*'\])?$",
    re.MULTILINE,
)

# Spark 3.5's TaskSetManager names the last task that failed, and where.
_HOST = r"[\w.:-]{1,255}"
_REASON = (
    r"(?:Command (?P<code>exited with code \d+)|Executor (?P<late>heartbeat timed out after \d+ ms)"
    r"|(?P<gone>worker lost))"
)
_LOST = re.compile(
    rf"\((?P<host>{_HOST}) executor (?P<executor>\d+)\): ExecutorLostFailure \(executor \d+ exited"
    rf" [a-z ]+\)(?: Reason: {_REASON})?"
)
_FETCH = re.compile(rf"\bFetchFailed\(BlockManagerId\((\d+), ({_HOST}), \d+")
_UNREACHED = re.compile(rf"\bFailed to connect to (?:[\w.-]*/)?({_HOST}):\d+")
_HUNG_UP = re.compile(
    rf"\(({_HOST}) executor (\d+)\): [^\n]{{0,300}}"
    r"(?:StatusRuntimeException: (?:CANCELLED|UNAVAILABLE)\b"
    r"|IllegalStateException: (?:SDK harness closed connection|call already (?:half-)?closed))"
)
_TRIES = re.compile(r"\bTask \d+ in stage [\d.]+ failed (\d+) times\b")
_ENDED = re.compile(r"\bSparkContext was shut down\b")
_KINDS = re.compile(
    r"\b(?:[a-z]\w*\.){2,}(?:\w+\$)?([A-Z]\w*(?:Exception|Error))\b|\b(\w*LostFailure)\b"
)

# And this its log tells of executors: where one was started, and how it ended.
_LOGGED = re.compile(
    r"^\S+ \S+ [A-Z]+ (?:"
    r"StandaloneSchedulerBackend: Granted executor ID app-[\d-]+/(?P<new>\d+) on hostPort"
    rf" (?P<where>{_HOST}):\d+"
    r"|StandaloneAppClient\$ClientEndpoint: Executor updated: app-[\d-]+/(?P<ended>\d+) is now"
    r" (?:EXITED|FAILED|LOST)(?: \(Command (?P<status>exited with code \d+)\))?"
    rf"|TaskSchedulerImpl: Lost executor (?P<executor>\d+) on (?P<host>{_HOST}): {_REASON})",
    re.MULTILINE,
)


@dataclass(frozen=True)
class GaveUp:
    """Why Spark gave up on a pipeline.

    Attributes:
        workers: What our own workers said, each line once.
        why: All that may be told, in one line.
    """

    workers: tuple[str, ...]
    why: str


def gave_up(messages: str, lost: Sequence[str] = ()) -> GaveUp:
    """What the messages of a failed job say, without text of a document.

    Args:
        messages: What the job server sent.
        lost: What its log told of executors meanwhile.
    """
    workers = tuple(_once(line[:LINE_CHARS] for line in _WORKER.findall(messages)))
    facts = "; ".join(workers or _once([*lost, *_facts(messages)])) or _kinds_of(messages)
    tries = _TRIES.search(messages)
    after = f" after {tries[1]} tries of a task" if tries else ""
    return GaveUp(workers, f"Spark gave up on its pipeline{after}: {facts}")


def _facts(messages: str) -> Iterator[str]:
    """What happened to machines and processes, as far as Spark knows."""
    for found in _LOST.finditer(messages):
        yield _lost(found["executor"], found["host"], found["code"] or found["late"])
    for executor, host in _FETCH.findall(messages):
        yield f"what executor {executor} on {host} held for a shuffle could not be fetched"
    for host in _UNREACHED.findall(messages):
        yield f"{host} could not be reached"
    for host, executor in _HUNG_UP.findall(messages):
        yield (
            f"the Python worker of executor {executor} on {host} ended in the middle of its work;"
            " the output of the worker pool there says how"
        )
    if _ENDED.search(messages):
        yield "the Spark master ended the application; its page says what became of the executors"


def _lost(executor: str, host: str, how: str | None) -> str:
    return f"executor {executor} on {host} was lost{f': {how}' if how else ''}"


def _kinds_of(messages: str) -> str:
    """The kinds of exceptions that an error message names, each once."""
    return ", ".join(_once(name or lost for name, lost in _KINDS.findall(messages))) or (
        "it did not say why"
    )


def _once(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(found))[:LINES]


@dataclass
class Executors:
    """What became of a run's executors, as the job server's log tells.

    Attributes:
        log: Of the job server; None if it is none of ours.
        hosts: Where each was started.
        lost: Of each that was lost, how; in this order.
        heard: Bytes of the log that were read.
    """

    log: Path | None = None
    hosts: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    heard: int = 0

    def hear(self) -> None:
        """Read on in the log."""
        if self.log is None:
            return
        with self.log.open("rb") as file:
            file.seek(self.heard)
            whole, newline, _ = file.read().rpartition(b"\n")
        self.heard += len(whole) + len(newline)
        for found in _LOGGED.finditer(whole.decode("utf-8", "replace")):
            if found["new"]:
                self.hosts[found["new"]] = found["where"]
                continue
            executor = found["ended"] or found["executor"]
            host = found["host"] or self.hosts.get(executor, "a machine unknown")
            how = found["status"] or found["code"] or found["late"]
            # One that is lost by its silence is ended after that, and then for no reason.
            if executor not in self.lost or how:
                self.lost[executor] = _lost(executor, host, how)
