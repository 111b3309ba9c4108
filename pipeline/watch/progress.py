"""What a person sees while a run goes on: a live table, or plain lines without a terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from phloem.catalog.manifest import Shard
from phloem.pipeline.stage import Task
from phloem.reports.visible import visible

LINE_SECONDS = 10.0  # between plain lines of one stage


@dataclass
class StageProgress:
    """Counts of one stage while it runs."""

    stage: str
    tasks: int
    cached: int
    total_bytes: int
    began: float = field(default_factory=time.monotonic)
    finished: int = 0
    documents: int = 0
    dropped: int = 0
    bytes: int = 0
    ended: float | None = None

    def add(self, task: Task, shards: Sequence[Shard]) -> None:
        """Count a task that has committed."""
        self.finished += 1
        self.bytes += task.bytes
        if shards:
            self.documents += shards[0].facts.get("documents") or 0
        self.dropped += sum(shard.facts.get("dropped", 0) for shard in shards)

    @property
    def seconds(self) -> float:
        """Since it began, until it ended."""
        return (self.ended or time.monotonic()) - self.began

    def cells(self) -> list[str]:
        """Stage, splits, documents, rate, ETA, drops, time: each says what it is."""
        to_do = self.tasks - self.cached
        rate = self.bytes / 1e6 / max(self.seconds, 1e-3)
        left = self.total_bytes - self.bytes
        eta = (
            f"{left / 1e6 / rate:.0f} s left"
            if rate > 0 and left > 0 and self.ended is None
            else ""
        )
        done = f"{self.cached + self.finished}/{self.tasks}"
        return [
            self.stage,
            done if to_do or not self.tasks else f"{done} cached",
            f"{self.documents:,} document{'s' * (self.documents != 1)}" if self.documents else "",
            f"{rate:.1f} MB/s" if self.finished else "",
            eta,
            f"{self.dropped:,} dropped" if self.dropped else "",
            f"{self.seconds:.1f} s",
        ]


class Progress:
    """Shows stages as they run; use it as a context."""

    def __init__(self, console: Console) -> None:
        """Show on this console: live if it is a terminal, else in plain lines."""
        self.console = console
        self.stages: list[StageProgress] = []
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
        self._said = 0.0

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state standing."""
        if self._live:
            self._live.update(self._table(), refresh=True)
            self._live.stop()

    def say(self, line: str) -> None:
        """A line of its own."""
        self.console.print(visible(line), markup=False, highlight=False, emoji=False)

    def begin(self, stage: str, tasks: Sequence[Task], to_do: Sequence[Task]) -> StageProgress:
        """A stage begins; some of its tasks may be there already."""
        total = sum(task.bytes for task in to_do)
        progress = StageProgress(stage, len(tasks), len(tasks) - len(to_do), total)
        self.stages.append(progress)
        self._said = time.monotonic()
        self._show()
        return progress

    def add(self, task: Task, shards: Sequence[Shard]) -> None:
        """A task of the latest stage has committed."""
        latest = self.stages[-1]
        latest.add(task, shards)
        waited = time.monotonic() - self._said > LINE_SECONDS
        if self._live is None and waited and latest.finished < latest.tasks - latest.cached:
            self._line(latest)
        self._show()

    def end(self) -> None:
        """The latest stage is over."""
        latest = self.stages[-1]
        latest.ended = time.monotonic()
        if self._live is None:
            self._line(latest)
        self._show()

    def _line(self, stage: StageProgress) -> None:
        self._said = time.monotonic()
        self.say("  ".join(cell for cell in stage.cells() if cell))

    def _show(self) -> None:
        if self._live:
            self._live.update(self._table())

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(justify="left")
        rows = [stage.cells() for stage in self.stages]
        for _ in rows[0][1:] if rows else ():
            table.add_column(justify="right", no_wrap=True)
        for cells in rows:
            table.add_row(*cells)
        return table
