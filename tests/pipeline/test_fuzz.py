"""Files and pages changed at random, in the nightly run: no crash, no hang, no stray exception."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import fuzzing
import pytest

from phloem.pipeline import guard
from phloem.pipeline.guard import Guarded, OverrunError, Told
from phloem.sources.limits import Limits

SECONDS = float(os.environ.get("PHLOEM_FUZZ_SECONDS", "60"))  # of each kind
FIRST = int(os.environ.get("PHLOEM_FUZZ_FIRST", "0"))  # number of the first change
LIMITS = Limits()

pytestmark = pytest.mark.nightly


def _fuzz(
    what: str,
    work: Callable[..., Iterable[Told]],
    arguments: tuple[Any, ...],
    record: Callable[[str, object], None],
) -> None:
    """Do the work; a child that is ended, or dies, names the number of the change."""
    at, inputs, worst, peak = FIRST, 0, (0.0, 0), 0
    guard.retire()  # a child of its own, whose memory is its own
    try:
        with Guarded(work, arguments, LIMITS.record_seconds, LIMITS.reading_memory_bytes) as child:
            before = None
            for said, _ in child:
                at = said.get("begun at", at)
                if "done" not in said:
                    continue
                before = before or said["bytes"]
                inputs, peak = inputs + 1, max(peak, said["bytes"] - before)
                worst = max(worst, (said["seconds"], said["done"]))
    except OverrunError as error:
        pytest.fail(f"{what} with change {at}: {error}")
    except Exception as error:  # noqa: BLE001 - it is told with the number of the change
        pytest.fail(f"{what} with change {at}: {error}")
    finally:
        guard.retire()
    assert inputs > 10
    assert peak < LIMITS.record_memory_bytes
    told = (
        f"{inputs} inputs, at most {worst[0]:.2f} s (change {worst[1]}) and {peak >> 20} MiB more"
    )
    record(f"fuzzed {what}", told)


@pytest.mark.parametrize("name", [kind.name for kind in fuzzing.KINDS])
def test_changed_files_give_documents_and_faults_and_nothing_else(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    _fuzz(name, fuzzing.read_changed, (name, FIRST, SECONDS, str(tmp_path)), record_property)


@pytest.mark.parametrize("media_type", fuzzing.PAGES)
def test_changed_pages_give_text_or_a_fault_and_nothing_else(
    media_type: str, record_property: Callable[[str, object], None]
) -> None:
    _fuzz(media_type, fuzzing.extract_changed, (media_type, FIRST, SECONDS), record_property)
