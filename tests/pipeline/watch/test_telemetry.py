"""Telemetry: one span a run and a stage, counts that add up, and nothing of a document."""

import gzip
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from inline_engine import InlineEngine, inline
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from rich.console import Console
from tiny_workspace import ADDRESS, ARTICLES, make_workspace, new_root, recipe_of

from phloem.catalog.advice import install_extra
from phloem.catalog.store import Store
from phloem.pipeline import logs
from phloem.pipeline.engines.engine import Failure
from phloem.pipeline.registry.registry import load_registry
from phloem.pipeline.request import Request
from phloem.pipeline.run import RunError, run
from phloem.pipeline.watch import telemetry, watch
from phloem.pipeline.watch.progress import Progress
from phloem.pipeline.workspace import load_workspace
from phloem.sources.limits import Limits

Ran = tuple[Path, Path]


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A workspace and a root; the first run on it makes all, the next ones find all made."""
    top = tmp_path_factory.mktemp("telemetry")
    return make_workspace(top / "workspace"), new_root(top / "root")


def _run(places: Ran, engine: Any = None) -> dict[str, Any]:
    folder, root = places
    workspace = load_workspace(folder)
    request = Request(recipe_of(folder), str(root), 1)
    registry, progress = load_registry(workspace), Progress(Console(quiet=True))
    opened = engine or (lambda: inline(str(root), 1, Limits()))
    result = run(request, registry, workspace, progress, opened)
    record: dict[str, Any] = json.loads(Store(root).read_bytes(f"runs/{result.run_id}.json"))
    return record


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> tuple[InMemorySpanExporter, InMemoryMetricReader]:
    """What a run tells, in memory."""
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    traces = TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(spans))
    made = telemetry.telemetry_of(traces, MeterProvider([reader]))
    monkeypatch.setattr(telemetry.Telemetry, "close", lambda _: None)
    monkeypatch.setattr(watch, "open_telemetry", lambda: made)
    return spans, reader


def _counts(reader: InMemoryMetricReader) -> dict[tuple[str, ...], float]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        (metric.name, *sorted(map(str, point.attributes.values()))): point.value
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


def test_a_run_is_a_span_and_each_stage_one_below_it(places: Ran, heard: Any) -> None:
    record = _run(places)
    spans, reader = heard
    found = {span.name: span for span in spans.get_finished_spans()}
    top = found.pop("phloem.run")
    assert top.attributes["phloem.run"] == record["run_id"]
    assert top.attributes["phloem.status"] == "done"
    assert top.attributes["phloem.release"] == record["release"]
    assert top.parent is None
    assert set(found) == {f"phloem.{stage['stage']}" for stage in record["stages"]}
    for stage in record["stages"]:
        span = found[f"phloem.{stage['stage']}"]
        assert span.parent.span_id == top.context.span_id
        assert span.attributes == {f"phloem.{k}": v for k, v in {**stage, "failed": 0}.items()}
        assert span.status.status_code == StatusCode.UNSET
    counts = _counts(reader)
    assert counts["phloem.documents", "ingest"] == 11
    for stage in record["stages"]:
        name, made = stage["stage"], stage["tasks"] - stage["cached"]
        expected = {"made": made, "cached": stage["cached"], "failed": 0}
        for outcome, number in expected.items():
            assert counts.get(_tasks(name, outcome), 0) == number
        assert counts["phloem.seconds", name] == stage["seconds"]


def _tasks(stage: str, outcome: str) -> tuple[str, ...]:
    return ("phloem.tasks", *sorted((stage, outcome)))


def test_a_rerun_counts_what_is_cached(places: Ran, heard: Any) -> None:
    _run(places)
    before = _counts(heard[1])[_tasks("measure", "cached")]
    record = _run(places)
    (measured,) = (stage for stage in record["stages"] if stage["stage"] == "measure")
    after = _counts(heard[1])[_tasks("measure", "cached")]
    assert measured["tasks"] == measured["cached"] == after - before > 0


class _Failing(InlineEngine):
    def run(self, stage: str, tasks: Any, done: Any) -> list[Failure]:
        assert stage == "ingest"
        return [Failure(task, "no space left on device") for task in tasks]


def test_a_failed_run_tells_the_kind_of_its_error_only(
    places: Ran, heard: Any, tmp_path: Path
) -> None:
    root = new_root(tmp_path / "root")
    with pytest.raises(RunError):
        _run((places[0], root), lambda: nullcontext(_Failing(str(root))))
    spans, reader = heard
    found = {span.name: span for span in spans.get_finished_spans()}
    assert found["phloem.run"].status.status_code == StatusCode.ERROR
    assert found["phloem.run"].status.description == "RunError"
    assert found["phloem.run"].attributes["phloem.status"] == "failed"
    assert found["phloem.run"].events == ()
    assert found["phloem.ingest"].attributes["phloem.failed"] == 2
    assert _counts(reader)[_tasks("ingest", "failed")] == 2


# To a receiver on this machine --------------------------------------------------------------------
@dataclass
class Receiver:
    """What came over HTTP, by path."""

    url: str
    bodies: list[tuple[str, bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A tiny OTLP receiver."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            found.bodies.append((self.path, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    found = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_run_reaches_a_collector_without_a_word_of_its_documents(
    places: Ran, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv(telemetry.ENDPOINT, receiver.url)
    monkeypatch.setenv("PHLOEM_LOG", "json")
    loggers = [logging.getLogger(name) for name in ("phloem", "opentelemetry")]
    before = [(each.handlers[:], each.level, each.propagate) for each in loggers]
    logs.set_up()
    try:
        record = _run(places)
    finally:
        for each, (handlers, level, propagate) in zip(loggers, before, strict=True):
            each.handlers[:], each.level, each.propagate = handlers, level, propagate
    traces = [
        ExportTraceServiceRequest.FromString(b) for p, b in receiver.bodies if p == "/v1/traces"
    ]
    spans = [
        span
        for request in traces
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert {span.name for span in spans} == {
        "phloem.run",
        *(f"phloem.{stage['stage']}" for stage in record["stages"]),
    }
    names = {
        metric.name
        for path, body in receiver.bodies
        if path == "/v1/metrics"
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert names >= {"phloem.tasks", "phloem.seconds"}
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {line["run"] for line in lines} == {record["run_id"]}
    assert [lines[0]["message"], lines[-1]["message"]] == ["run began", "run ended"]
    told = b"".join(body for _, body in receiver.bodies) + json.dumps(lines).encode()
    for words in (ADDRESS, *(text[:20] for text in ARTICLES.values())):
        assert words.encode() not in told
        assert json.dumps(words)[1:-1].encode() not in told


def test_a_collector_that_is_gone_does_not_hold_the_run_up(
    places: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(telemetry.ENDPOINT, "http://127.0.0.1:9")  # discard: nobody listens
    monkeypatch.setattr(telemetry, "SECONDS", 1)
    began = time.monotonic()
    record = _run(places)
    assert record["status"] == "done"
    assert time.monotonic() - began < 30  # of a busy machine


def test_nothing_is_sent_unless_somebody_is_named() -> None:
    assert telemetry.open_telemetry({}) is None
    assert telemetry.open_telemetry({telemetry.ENDPOINT: ""}) is None


def test_without_the_extra_a_hint_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(telemetry, "_installed", lambda: False)
    assert telemetry.open_telemetry({telemetry.ENDPOINT: "http://localhost:4318"}) is None
    assert install_extra("telemetry") in caplog.text
