"""`make compose-config`: what it makes of Docker Compose's own answer, and that a difference is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scripts.compose_config import differences, service_of
from tests.celery.compose import read_services

FOLDER = Path("/project")
TEXT = """
services:
  worker:
    profiles: [lab]
    image: airflow:3
    user: "${UID:-50000}:0"
    restart: unless-stopped
    command: ["run", "$$HOME", ""]
    environment: {NAME: a$$b, REGION: }
    volumes: ["./dags:/opt/bundle:ro", "logs:/opt/logs"]
    ports: ["127.0.0.1:${PORT:-8081}:8080"]
    healthcheck: {test: [CMD-SHELL, 'ping "$${HOSTNAME}"'], interval: 60s, timeout: 5s, retries: 3, start_period: 2m}
    depends_on:
      lab: {condition: service_healthy, required: false}
    deploy: {replicas: 2}
"""
TOLD = {
    "profiles": ["lab"],
    "image": "airflow:3",
    "user": "50000:0",
    "restart": "unless-stopped",
    "command": ["run", "$$HOME", ""],
    "environment": {"NAME": "a$$b", "REGION": None},
    "volumes": [
        {"type": "bind", "source": "/project/dags", "target": "/opt/bundle", "read_only": True},
        {"type": "volume", "source": "logs", "target": "/opt/logs"},
    ],
    "ports": [{"host_ip": "127.0.0.1", "target": 8080, "published": "8081", "protocol": "tcp"}],
    "healthcheck": {
        "test": ["CMD-SHELL", 'ping "$${HOSTNAME}"'],
        "interval": "1m0s",
        "timeout": "5s",
        "retries": 3,
        "start_period": "2m0s",
    },
    "depends_on": {"lab": {"condition": "service_healthy", "required": False}},
    "deploy": {"replicas": 2},
}
"""As Docker Compose 5.0.2 tells such a service: ``config --format json``."""


def test_what_docker_compose_tells_is_the_service_that_our_reader_reads():
    real = {"worker": service_of("worker", TOLD, FOLDER)}
    assert list(differences(read_services(TEXT, {}), real)) == []


def test_each_difference_is_told():
    ours = read_services(TEXT, {})
    real = {
        "worker": replace(ours["worker"], user="root", optional=frozenset()),
        "other": replace(ours["worker"], name="other"),
    }
    assert list(differences(ours, real)) == [
        "service other: only Docker Compose has it",
        "service worker: user is '50000:0' to our reader, 'root' to Docker Compose",
        "service worker: optional is frozenset({'lab'}) to our reader, frozenset() to Docker Compose",
    ]
