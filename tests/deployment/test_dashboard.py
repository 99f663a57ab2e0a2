"""The Grafana dashboard and the mapping beside it: well-formed, and every query asks for what is told."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from ddb_export.domain.metrics import METRICS, Kind, Metric

FOLDER = Path(__file__).parents[2] / "docs" / "grafana"
GRID = 24
"""Columns of Grafana's grid."""

_SERIES_OF_A_SUMMARY = ("", "_sum", "_count")


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return json.loads((FOLDER / "ddb_export.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def mappings() -> list[dict[str, Any]]:
    return yaml.safe_load((FOLDER / "statsd_exporter.yaml").read_text(encoding="utf-8"))["mappings"]


def mapped(mappings: list[dict[str, Any]], told: str) -> tuple[str, dict[str, str]]:
    """Do what statsd_exporter does with a name: the first match whose ``*`` are one level each; ``$1`` is the first of them."""
    for mapping in mappings:
        pattern, parts = mapping["match"].split("."), told.split(".")
        if len(pattern) == len(parts) and all(map(fnmatchcase, parts, pattern)):
            found = [part for part, wanted in zip(parts, pattern, strict=True) if wanted == "*"]
            labels = {label: found[int(place.removeprefix("$")) - 1] for label, place in mapping["labels"].items()}
            return mapping["name"], labels
    raise AssertionError(f"{told} is not mapped")


def series(metric: Metric, name: str) -> dict[str, set[str]]:
    """Return the names in Prometheus of what a metric becomes, with their labels."""
    labels = {*metric.tags}
    if metric.kind is Kind.TIMER:
        return {f"{name}{suffix}": labels | ({"quantile"} if not suffix else set()) for suffix in _SERIES_OF_A_SUMMARY}
    return {name: labels}


def test_every_metric_has_one_name_in_prometheus_and_its_tags_as_labels(mappings):
    for metric in METRICS:
        tags = {tag: f"a-{tag}" for tag in metric.tags}
        name, labels = mapped(mappings, f"airflow.{metric.dotted_name(tags)}")
        assert labels == tags
        ends = {Kind.COUNTER: "_total", Kind.TIMER: "_seconds", Kind.GAUGE: ""}
        assert name == f"airflow_ddb_export_{metric.name}{ends[metric.kind]}"
    assert len(mappings) == len(METRICS)
    assert [mapping.get("observer_type") for mapping in mappings if "duration" in mapping["name"]] == ["summary"]


def test_the_dashboard_has_what_grafana_requires(dashboard):
    panels = dashboard["panels"]
    assert isinstance(dashboard["schemaVersion"], int)
    assert dashboard["uid"]
    assert dashboard["title"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert [variables["datasource"]["type"], variables["table"]["type"]] == ["datasource", "query"]
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["type"] in {"stat", "timeseries"}
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
        for place in (panel, *panel["targets"]):
            assert place["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_panels_lie_beside_each_other_inside_the_grid(dashboard):
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    for place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= GRID
        assert place["y"] >= 0
        assert place["h"] > 0
    for one, other in combinations(places, 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart or above


def test_every_query_asks_for_what_is_told_and_every_metric_is_shown(dashboard, mappings):
    there: dict[str, set[str]] = {}
    names = {}
    for metric in METRICS:
        name, _ = mapped(mappings, f"airflow.{metric.dotted_name(dict.fromkeys(metric.tags, 'x'))}")
        names[name] = metric
        there |= series(metric, name)
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [variable["definition"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    asked = set()
    for query in queries:
        found = re.findall(r"(airflow_ddb_export_\w+)(?:\{(.*?)\})?", query)
        assert found, query
        for name, matchers in found:
            assert name in there, query
            assert set(re.findall(r"(\w+)=", matchers)) <= there[name], query
            asked.add(name)
        grouped = {label.strip() for by in re.findall(r"by \((.*?)\)", query) for label in by.split(",")}
        assert all(grouped <= there[name] for name, _ in found), query
    shown = {metric.name for name, metric in names.items() if asked & set(series(metric, name))}
    assert shown == {metric.name for metric in METRICS}
