"""Tasks for tests that look at how tasks are handed out, and not at what they do."""

from phloem.catalog.manifest import Ref
from phloem.pipeline.stage import Task
from phloem.pipeline.stages.tally import TallyWork


def some_task(name: str, size: int = 1, *, shuffled_bytes: int = 0, source: str = "s") -> Task:
    """A task of the stage `tally` that opens one file of so many bytes, which is not there."""
    file = Ref(f"count/{name}/counts.parquet", "0" * 64, size)
    work = TallyWork(source=source, occurrences=1, files=(file,))
    return Task("tally", (("tally", name),), name, work, shuffled_bytes)
