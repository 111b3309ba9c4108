"""How often a run opens, hashes and writes each byte of its text, counted over a whole run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from inline_engine import InlineEngine
from rich.console import Console

from phloem.catalog import store as stores
from phloem.catalog.manifest import COMMIT, Shard
from phloem.catalog.store import Store, Writing
from phloem.pipeline import run as running
from phloem.pipeline.bench.engine import write_sample
from phloem.pipeline.engines.engine import Failure
from phloem.pipeline.request import OwnFiles, find_request
from phloem.pipeline.stage import Task
from phloem.pipeline.watch.progress import Progress
from phloem.sources.limits import Limits

BUNDLED = Path(__file__).parents[2] / "sources" / "bundled"
TEXT_MB = 4


@dataclass
class Bytes:
    """What a run did to the files of its root, in bytes, and how often it asked for a commit.

    Attributes:
        side: Who does it now: the driver, or the one worker, which hashes for itself.
        opened: Of every file, each time that it is opened, by who does it.
        hashed: Of what was written or listed before, each time that it is hashed.
        written: Of all files.
        asked: How often each side asked for each commit.
    """

    side: str = "driver"
    opened: Counter[str] = field(default_factory=Counter)
    hashed: int = 0
    written: int = 0
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Bytes:
    found = Bytes()
    opening, writing, reading = Store.open, Writing.write, Store.read_bytes
    hashing = stores._sha256_of.__wrapped__
    memo: dict[tuple[Any, ...], str] = {}

    def opened(self: Store, name: str, sha256: str = "", size: int | None = None) -> Any:
        found.opened[found.side] += self.size(name)
        return opening(self, name, sha256, size)

    def hashed(path: str, inode: int, size: int, time: int) -> str:
        key = (found.side, path, inode, size, time)
        if key not in memo:
            memo[key] = hashing(path, inode, size, time)
            # A process hashes its models once, however much text it reads.
            is_model = "/fetched/" in path or path.endswith("tokenizer.json")
            found.hashed += 0 if is_model else size
        return memo[key]

    def written(self: Writing, data: Any) -> int:
        size = writing(self, data)
        found.written += size
        return size

    def read(self: Store, name: str) -> bytes:
        if name.endswith(f"/{COMMIT}"):
            found.asked[found.side, name] += 1
        return reading(self, name)

    monkeypatch.setattr(Store, "open", opened)
    monkeypatch.setattr(Store, "read_bytes", read)
    monkeypatch.setattr(Writing, "write", written)
    monkeypatch.setattr(stores, "_sha256_of", hashed)
    return found


class CountingEngine(InlineEngine):
    """Does tasks as the one worker of a run."""

    counted: Bytes

    def run(
        self, stage: str, tasks: Sequence[Task], done: Callable[[Task, Sequence[Shard]], None]
    ) -> list[Failure]:
        def as_driver(task: Task, shards: Sequence[Shard]) -> None:
            self.counted.side = "driver"
            done(task, shards)
            self.counted.side = "worker"

        self.counted.side = "worker"
        try:
            return super().run(stage, tasks, as_driver)
        finally:
            self.counted.side = "driver"


def _run(root: Path, files: Path, counted: Bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def counting(root: str, workers: int, limits: Limits) -> Iterator[CountingEngine]:
        del workers, limits
        engine = CountingEngine(root)
        engine.counted = counted
        yield engine

    monkeypatch.setattr(running, "open_pool", counting)
    own = OwnFiles(str(files / "*.jsonl"))
    request, registry, workspace = find_request("quickstart", str(root), workers=1, own=own)
    running.run(request, registry, workspace, Progress(Console(quiet=True)))


def test_each_byte_of_text_is_opened_hashed_and_written_few_times(
    tmp_path: Path, counted: Bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, root = tmp_path / "files", tmp_path / "root"
    write_sample(BUNDLED, files, TEXT_MB)
    text = TEXT_MB * 1e6
    listed = sum(path.stat().st_size for path in files.glob("*.jsonl"))
    _run(root, files, counted, monkeypatch)
    assert counted.opened.total() <= 4 * text  # the pages of its report and its account, too
    assert counted.hashed - listed <= 3.5 * text  # when they are listed they are hashed first
    assert counted.written <= 3.1 * text  # 40 columns of measures among it
    # What the driver lists is not there; `measure` asks which of its files were, and no one else.
    again = {name: times for (_, name), times in counted.asked.items() if times > 1}
    assert not again
    by_worker = {name.split("/")[0] for side, name in counted.asked if side == "worker"}
    assert by_worker <= {"measure", "clean"}


def test_a_run_with_nothing_to_do_asks_for_no_commit_and_opens_what_it_shows(
    tmp_path: Path, counted: Bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, root = tmp_path / "files", tmp_path / "root"
    write_sample(BUNDLED, files, 1)
    _run(root, files, counted, monkeypatch)
    counted.opened.clear()
    counted.asked.clear()
    counted.written = 0
    _run(root, files, counted, monkeypatch)
    assert counted.opened["worker"] == 0
    assert not counted.asked  # the manifests of commits say it
    assert counted.written < 0.2e6  # its record and its report
