"""Progress: a line for each stage where there is no terminal, and an ETA that can be believed."""

import io
import re

import pytest
from rich.console import Console

from phloem.catalog.manifest import Shard
from phloem.pipeline import progress as subject
from phloem.pipeline.progress import Progress, StageProgress
from phloem.pipeline.stage import Task

MB = 1_000_000


def _tasks(count: int) -> list[Task]:
    return [Task("decide", (("decide", str(n)),), str(n), MB, {}) for n in range(count)]


def _shards(documents: int = 1500, dropped: int = 300) -> list[Shard]:
    return [Shard("decide", "k", (), {"documents": documents, "dropped": dropped})]


class Clock:
    """Stands where the module time stands."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def begin(self, shown: Progress, stage: str, tasks: list[Task], to_do: list[Task]) -> None:
        """Begin a stage by this clock."""
        shown.begin(stage, tasks, to_do).began = self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that a test winds."""
    found = Clock()
    monkeypatch.setattr(subject, "time", found)
    return found


def _plain() -> tuple[Progress, io.StringIO]:
    file = io.StringIO()
    return Progress(Console(file=file, width=200)), file


def test_finished_stage_prints_one_line(clock: Clock) -> None:
    shown, file = _plain()
    with shown:
        tasks = _tasks(3)
        clock.begin(shown, "decide", tasks, tasks)
        for task in tasks:
            clock.now += 2
            shown.add(task, _shards())
        shown.end()
    assert file.getvalue() == "decide  3/3  4,500  0.5 MB/s  900 dropped  6.0 s\n"


def test_cached_stage_says_so_in_one_line(clock: Clock) -> None:
    shown, file = _plain()
    with shown:
        clock.begin(shown, "ingest", _tasks(3), [])
        shown.end()
        clock.begin(shown, "elect", [], [])
        shown.end()
    assert file.getvalue() == "ingest  3/3 cached  0.0 s\nelect  0/0  0.0 s\n"


def test_long_stage_prints_a_line_now_and_then_with_the_time_left(clock: Clock) -> None:
    shown, file = _plain()
    tasks = _tasks(10)
    with shown:
        clock.begin(shown, "decide", tasks, tasks)
        for task in tasks:
            clock.now += 4
            shown.add(task, _shards())
        shown.end()
    lines = file.getvalue().splitlines()
    # After 12, 24 and 36 seconds: more than 10 after the line before; then the end.
    assert [line.split()[1] for line in lines] == ["3/10", "6/10", "9/10", "10/10"]
    left = [re.search(r" (\d+) s  [\d,]+ dropped", line) for line in lines]
    assert [each and each[1] for each in left] == ["28", "16", "4", None]


def test_eta_counts_only_what_is_to_be_done(clock: Clock) -> None:
    stage = StageProgress("measure", tasks=10, cached=8, total_bytes=2 * MB, began=clock.now)
    clock.now += 5
    assert stage.cells()[1:5] == ["8/10", "", "", ""]  # nothing is known yet
    stage.add(_tasks(1)[0], _shards())
    assert stage.cells()[1:5] == ["9/10", "1,500", "0.2 MB/s", "5 s"]
    stage.add(_tasks(1)[0], _shards())
    assert stage.cells()[1:5] == ["10/10", "3,000", "0.4 MB/s", ""]


def test_finished_stage_stops_its_clock(clock: Clock) -> None:
    shown, _ = _plain()
    tasks = _tasks(1)
    clock.begin(shown, "decide", tasks, tasks)
    clock.now += 3
    shown.end()
    clock.now += 100
    assert shown.stages[0].seconds == 3


def test_terminal_shows_a_table_of_all_stages() -> None:
    file = io.StringIO()
    with Progress(Console(file=file, force_terminal=True, width=120)) as shown:
        for name in ("ingest", "decide"):
            tasks = _tasks(2)
            shown.begin(name, tasks, tasks)
            shown.add(tasks[0], _shards())
            shown.add(tasks[1], _shards())
            shown.end()
    last = file.getvalue().rsplit("splits", 1)[1]
    for name in ("ingest", "decide"):
        assert re.search(rf"{name} +2/2 +3,000", last)


def test_say_prints_names_as_they_are(clock: Clock) -> None:
    shown, file = _plain()
    with shown:
        shown.say("fetched [bold]x[/bold] :smile: กข")
    assert file.getvalue() == "fetched [bold]x[/bold] :smile: กข\n"
