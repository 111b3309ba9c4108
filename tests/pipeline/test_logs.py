"""Logs: JSON that a program reads, with the run in every line, and no text of a document."""

import json
import logging
import threading
from collections.abc import Iterator

import pytest

from phloem.pipeline import logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("phloem", "opentelemetry")]
    before = [(each.handlers[:], each.level, each.propagate) for each in loggers]
    yield
    for each, (handlers, level, propagate) in zip(loggers, before, strict=True):
        each.handlers[:], each.level, each.propagate = handlers, level, propagate


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_every_line_says_its_run_and_stage_in_whatever_thread(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up({"PHLOEM_LOG": "json"})
    logger = logging.getLogger("phloem.catalog.anything")
    with logs.bound("run", "20260101T000000Z-abc"), logs.bound("stage", "measure"):
        logger.warning("first")
        thread = threading.Thread(target=logger.info, args=("second %s", "ไทย"))
        thread.start()
        thread.join()
    logger.warning("third")
    first, second, third = _lines(capsys)
    assert [first["message"], second["message"], third["message"]] == [
        "first",
        "second ไทย",
        "third",
    ]
    assert (first["level"], second["level"]) == ("warning", "info")
    for line in (first, second):
        assert (line["run"], line["stage"]) == ("20260101T000000Z-abc", "measure")
    assert "run" not in third


def test_bound_inside_bound_gives_back_the_outer_value(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up({"PHLOEM_LOG": "json"})
    with logs.bound("stage", "outer"):
        with logs.bound("stage", "inner"):
            logs.event("a", {})
        logs.event("b", {})
    assert [line["stage"] for line in _lines(capsys)] == ["inner", "outer"]


def test_an_event_gives_its_facts_and_cannot_pass_for_another_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up({"PHLOEM_LOG": "json"})
    with logs.bound("run", "right"):
        logs.event("task done", {"task": "first 000-of-001", "bytes": 12, "run": "wrong"})
    (line,) = _lines(capsys)
    assert (line["message"], line["task"], line["bytes"]) == ("task done", "first 000-of-001", 12)
    assert line["run"] == "right"


def test_an_error_is_named_without_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up({"PHLOEM_LOG": "json"})
    quoted = "يولد جميع الناس أحرارا"
    try:
        int(quoted)
    except ValueError:
        logging.getLogger("phloem.pipeline.anything").exception("an op failed")
    written = capsys.readouterr().err
    assert json.loads(written)["error"] == "ValueError"
    assert quoted not in json.loads(written).values()
    assert "Traceback" not in written


def test_plain_lines_are_warnings_without_events(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up({})
    logs.event("task failed", {"task": "first"}, logging.WARNING)
    logger = logging.getLogger("phloem.catalog.runs")
    logger.info("not shown")
    logger.warning("a file was cut short")
    assert capsys.readouterr().err == "warning: a file was cut short\n"


def test_set_up_twice_tells_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up({})
    logs.set_up({"PHLOEM_LOG": "json"})
    logging.getLogger("phloem").warning("once")
    assert len(_lines(capsys)) == 1


def test_an_event_without_set_up_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("phloem").handlers[:] = []
    logs.event("task failed", {"task": "first"}, logging.WARNING)
    assert capsys.readouterr().err == ""


def test_a_collector_that_is_gone_is_one_line_in_the_same_form(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up({"PHLOEM_LOG": "json"})
    theirs = logging.getLogger("opentelemetry.exporter")
    theirs.warning("trying again")
    theirs.error("gave up")
    assert [line["message"] for line in _lines(capsys)] == ["gave up"]
