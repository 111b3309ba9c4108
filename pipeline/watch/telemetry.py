"""Traces and metrics of a run through OpenTelemetry: names and numbers, never text of a document.

On only where `OTEL_EXPORTER_OTLP_ENDPOINT` says whom to tell and the extra `telemetry` is there.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from phloem.catalog.advice import install_extra

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

Json = Any

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
NAME = "phloem"
SECONDS = 5  # that a collector may take, unless OpenTelemetry's own variables say otherwise

logger = logging.getLogger(__name__)


# Name, after `phloem.`, and unit as UCUM writes it.
COUNTERS = MappingProxyType(
    {
        "documents": "{document}",
        "bytes": "By",
        "tasks": "{task}",
        "seconds": "s",
        "cpu_seconds": "s",
    }
)


@dataclass(frozen=True)
class Telemetry:
    """Where a run's spans and counts go."""

    traces: TracerProvider
    metrics: MeterProvider
    counters: Mapping[str, Counter]

    @contextmanager
    def span(self, name: str, facts: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
        """A span while the block runs; yields a dict to which the block may add attributes.

        Of an error that ends the block only the kind is told.
        """
        from opentelemetry.trace import Status, StatusCode

        later: dict[str, Json] = {}
        tracer = self.traces.get_tracer(NAME)
        with tracer.start_as_current_span(
            name, attributes=facts, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield later
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise
            finally:
                span.set_attributes(later)

    def add(self, name: str, number: float, facts: Mapping[str, str]) -> None:
        """Add to one of `COUNTERS`."""
        self.counters[name].add(number, facts)

    def close(self) -> None:
        """Send what is left; whoever does not answer is not waited for long."""
        self.traces.shutdown()
        self.metrics.shutdown(1000 * SECONDS)


def open_telemetry(environment: Mapping[str, str] = os.environ) -> Telemetry | None:
    """Whom the environment says to tell; None if nobody, or the extra is not installed."""
    if not environment.get(ENDPOINT):
        return None
    if not _installed():
        install = install_extra("telemetry")
        logger.warning("%s is set, but nothing is sent: %s; or unset it", ENDPOINT, install)
        return None
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    told = any(name.startswith("OTEL_") and name.endswith("_TIMEOUT") for name in environment)
    seconds = None if told else SECONDS
    version = importlib.metadata.version("phloem")
    resource = Resource.create({"service.name": NAME, "service.version": version})
    traces = TracerProvider(resource=resource, shutdown_on_exit=False)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=seconds)))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(timeout=seconds))
    metrics = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    return telemetry_of(traces, metrics)


def telemetry_of(traces: TracerProvider, metrics: MeterProvider) -> Telemetry:
    """With the counters made once, as OpenTelemetry asks."""
    meter = metrics.get_meter(NAME)
    counters = {
        name: meter.create_counter(f"{NAME}.{name}", unit=unit) for name, unit in COUNTERS.items()
    }
    return Telemetry(traces, metrics, counters)


def _installed() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False
