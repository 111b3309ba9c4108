"""What a person sees of a run: lines for a file, a table for a terminal."""

import io

import pytest
from rich.console import Console
from some_tasks import some_task

from phloem.catalog.manifest import Shard
from phloem.pipeline.watch import progress as module
from phloem.pipeline.watch.progress import Progress, StageProgress

TASKS = [some_task(f"split {n}", 500_000) for n in range(4)]


def _shard(documents: int, dropped: int = 0) -> Shard:
    return Shard("decide", "k", (), {"documents": documents, "dropped": dropped})


def _lines(show: Progress) -> list[str]:
    assert isinstance(show.console.file, io.StringIO)
    return show.console.file.getvalue().splitlines()


def _show(**options: bool) -> Progress:
    console = Console(file=io.StringIO(), width=100, **options)  # type: ignore[arg-type]
    return Progress(console)


def test_cells_count_what_was_done_and_tell_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "monotonic", lambda: 104.0)
    stage = StageProgress("decide", 5, 1, 2_000_000, began=100.0)
    stage.add(TASKS[0], [_shard(1200, 3), _shard(1200, 1)])  # two files about the same documents
    assert stage.cells() == [
        "decide", "2/5", "1,200 documents", "0.1 MB/s", "12 s left", "4 dropped", "4.0 s",
    ]  # fmt: skip
    stage.ended = 102.0
    assert stage.cells()[3:] == ["0.2 MB/s", "", "4 dropped", "2.0 s"]


@pytest.mark.parametrize(
    ("tasks", "cached", "said"), [(3, 3, "3/3 cached"), (3, 0, "0/3"), (0, 0, "0/0")]
)
def test_cells_before_anything_was_done_say_what_there_is(
    tasks: int, cached: int, said: str
) -> None:
    cells = StageProgress("decide", tasks, cached, 0).cells()
    assert [cell for cell in cells[:-1] if cell] == ["decide", said]


def test_add_of_shards_that_count_no_documents_counts_none() -> None:
    stage = StageProgress("tokenizer", 1, 0, 500_000)
    stage.add(TASKS[0], [Shard("tokenizer", "k", (), {"sample_share": 1.0})])
    stage.add(TASKS[0], [])
    assert (stage.finished, stage.documents, stage.bytes) == (2, 0, 1_000_000)


def test_lines_without_a_terminal_are_one_a_stage_at_its_end() -> None:
    show = _show()
    with show:
        show.begin("decide", TASKS, TASKS[1:])
        for task in TASKS[1:]:
            show.add(task, [_shard(1, 1)])
        assert _lines(show) == []
        show.end()
        show.begin("compose", TASKS[:2], [])
        show.end()
    first, second = _lines(show)
    assert first.split("  ")[:3] == ["decide", "4/4", "3 documents"]
    assert second.split("  ")[:2] == ["compose", "2/2 cached"]
    assert "\x1b" not in first + second


def test_lines_of_a_long_stage_come_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    show, now = _show(), [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    show.begin("decide", TASKS, TASKS).began = now[0]
    for task in TASKS:
        now[0] += module.LINE_SECONDS * 0.6
        show.add(task, [_shard(1)])
    show.end()
    assert [line.split("  ")[1] for line in _lines(show)] == ["2/4", "4/4"]
    assert "left" in _lines(show)[0]


def test_table_of_a_terminal_is_left_standing_after_a_failure() -> None:
    show = _show(force_terminal=True)

    def fail() -> None:
        with show:
            show.begin("ingest", TASKS[:1], [])
            show.end()
            show.begin("decide", TASKS, TASKS)
            show.add(TASKS[0], [_shard(1)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    shown = "\n".join(_lines(show)[-3:])
    assert "ingest" in shown
    assert "decide" in shown
    assert "1/4" in shown
    assert "1 document " in shown


def test_table_before_the_first_stage_is_empty() -> None:
    show = _show(force_terminal=True)
    with show:
        pass
    assert "decide" not in "".join(_lines(show))


def test_say_prints_what_it_is_given_and_steers_no_terminal() -> None:
    show = _show()
    show.say("left out [bold]a[/bold] :smile: \x1b[31m\u202eevil")
    assert _lines(show) == ["left out [bold]a[/bold] :smile: \u241b[31m[U+202E]evil"]
