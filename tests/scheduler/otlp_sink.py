"""An OpenTelemetry collector that keeps what it is sent: OTLP over HTTP, as Airflow's exporter sends metrics."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

DELTA = 1
"""What a process says has happened since it said so last (AggregationTemporality of OTLP)."""


class Point(NamedTuple):
    """One value of a metric; of a histogram, its sum.

    :param kind: ``gauge``, ``sum`` or ``exponential_histogram``.
    :param temporality: :data:`DELTA`, or 2 for cumulative; 0 for what has none.
    """

    name: str
    kind: str
    tags: dict[str, str]
    value: float
    temporality: int


class OtlpSink:
    """Listens on a port of its own from entering to leaving."""

    def __init__(self) -> None:
        points: list[Point] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/metrics":
                    points.extend(_points(ExportMetricsServiceRequest.FromString(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Keep silent."""

        self.points = points
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def settings(self) -> dict[str, str]:
        """What makes an Airflow tell its metrics here."""
        return {
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_address[1]}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
            "OTEL_METRIC_EXPORT_INTERVAL": "5000",
        }

    def told(self, name: str, **tags: str) -> list[float]:
        """Return all values of a metric of this package with these tags, in the order in which they came."""
        wanted = f"airflow.ddb_export.{name}"
        return [point.value for point in self.points if point.name == wanted and tags.items() <= point.tags.items()]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _points(request: ExportMetricsServiceRequest) -> list[Point]:
    metrics = [
        metric for resource in request.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
    ]
    return [
        _point(metric, point) for metric in metrics for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]


def _point(metric: Any, point: Any) -> Point:
    kind = metric.WhichOneof("data")
    tags = {each.key: each.value.string_value for each in point.attributes}
    value = point.sum if "histogram" in kind else getattr(point, point.WhichOneof("value"))
    temporality = getattr(getattr(metric, kind), "aggregation_temporality", 0)
    return Point(metric.name, kind, tags, value, temporality)
