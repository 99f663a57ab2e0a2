"""What the engine holds the containers to: users, capabilities, mounts, ports, limits. Asked of the kernel where it can tell, not of the file.

``/proc`` inside a container tells of each process who it is and what it may do; control groups are read from inside too, and have other files
in version 1 and 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx

from tests.engine.engine import RUNNING, Container, EngineError, Project, docker

_PROCESSES = """
for each in /proc/[0-9]*; do
    grep --no-messages --extended-regexp '^(Name|Pid|Uid|CapEff|CapPrm|CapBnd|NoNewPrivs):' "$each/status" | tr '\\n' ' '
    echo
done
"""
_LIMITS = """
cat /sys/fs/cgroup/memory.max 2> /dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes
cat /sys/fs/cgroup/cpu.max 2> /dev/null || cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us | tr '\\n' ' '
"""
_ASKING = frozenset({"sh", "grep", "tr"})
_INIT = frozenset({"docker-init", "tini", "catatonit"})
_NAMED_USERS = {"postgres": "postgres", "redis": "redis"}
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Process:
    """A process of a container, as the kernel sees it.

    :param user: its real and its effective user. :param capabilities: effective, permitted and bounding, together.
    """

    number: int
    name: str
    user: frozenset[int]
    capabilities: int
    no_new_privileges: bool


def require(project: Project, say: Callable[[str], None]) -> None:
    """Check all running containers.

    :raises AssertionError: something does not hold.
    """
    running = [each for each in project.containers() if each.status == RUNNING]
    _require_users(running, say)
    _require_limits(running, say)
    _require_mounts(project, running, say)
    _require_ports(project, running, say)


def processes(container: Container) -> list[Process]:
    """Return a container's processes, without those that ask, and those of the engine that are on their way in (runc)."""
    said = docker("exec", container.id, "sh", "-c", _PROCESSES)
    found = [dict(re.findall(r"(\w+):\s+(.+?)(?=\s+\w+:|\s*$)", line)) for line in said.splitlines() if "Pid:" in line]
    return [
        Process(
            int(each["Pid"]),
            each["Name"],
            frozenset(map(int, each["Uid"].split()[:2])),
            int(each["CapEff"], 16) | int(each["CapPrm"], 16) | int(each["CapBnd"], 16),
            each["NoNewPrivs"] == "1",
        )
        for each in found
        if each["Name"] not in _ASKING and not each["Name"].startswith("runc")
    ]


def _require_users(running: list[Container], say: Callable[[str], None]) -> None:
    users: dict[str, set[int]] = {}
    count = 0
    for container in running:
        found = processes(container)
        count += len(found)
        assert found, container.name
        for each in found:
            assert 0 not in each.user, f"{container.name}: {each.name} runs as root"
            assert not each.capabilities, f"{container.name}: {each.name} has capabilities {each.capabilities:x}"
            assert each.no_new_privileges, f"{container.name}: {each.name} may gain privileges"
            users.setdefault(container.service, set()).update(each.user)
        first = next(each for each in found if each.number == 1)
        if container.said["HostConfig"].get("Init"):
            assert first.name in _INIT, f"{container.name}: process 1 is {first.name}"
    who = ", ".join(f"{service} {'/'.join(map(str, sorted(ids)))}" for service, ids in sorted(users.items()))
    say(f"{count} processes in {len(running)} containers, none of root; users: {who}")
    say("each process without a capability, none to be had (CapEff, CapPrm, CapBnd 0), NoNewPrivs 1")
    begun = sorted({each.service for each in running if each.said["HostConfig"].get("Init")})
    say(f"process 1 is the engine's init in {', '.join(begun)}")


def _require_limits(running: list[Container], say: Callable[[str], None]) -> None:
    limits: dict[str, str] = {}
    for container in running:
        memory, quota = docker("exec", container.id, "sh", "-c", _LIMITS).strip().split("\n", 1)
        host = container.said["HostConfig"]
        assert int(memory) == host["Memory"] > 0, f"{container.name}: memory {memory}, not {host['Memory']}"
        part, period = map(int, quota.split())
        processors = host["NanoCpus"] / 1e9
        assert part == processors * period > 0, f"{container.name}: processors {quota}, not {processors}"
        limits[container.service] = f"{int(memory) / 2**30:g} GiB and {processors:g}"
    said = ", ".join(f"{service} {limit}" for service, limit in sorted(limits.items()))
    say(f"limits of memory and processors in the control groups: {said}")


def _require_mounts(project: Project, running: list[Container], say: Callable[[str], None]) -> None:
    refused, written = set(), set()
    for container, target, writable in _mounts(project, running):
        cause = _written(container, target)
        assert bool(cause) != writable, f"{container.name}: {target} is {'not ' if cause else ''}written {cause}"
        assert not cause or "Read-only file system" in cause, f"{container.name}: {target}: {cause}"
        (refused if cause else written).add(target)
    say(f"read-only, a write refused: {', '.join(sorted(refused))}; written: {', '.join(sorted(written))}")


def _written(container: Container, folder: str) -> str:
    """Write into a folder; return why it was refused, or nothing."""
    try:
        docker("exec", container.id, "sh", "-c", f"touch {folder}/.engine-check && rm {folder}/.engine-check")
    except EngineError as error:
        return str(error)
    return ""


def _mounts(project: Project, running: list[Container]) -> Iterator[tuple[Container, str, bool]]:
    for container in running:
        declared = {each.target for each in project.services[container.service].volumes}
        for mount in container.said["Mounts"]:
            if mount["Destination"] in declared:
                yield container, mount["Destination"], bool(mount["RW"])


def _require_ports(project: Project, running: list[Container], say: Callable[[str], None]) -> None:
    published = []
    for container in running:
        for inside, outside in container.said["NetworkSettings"]["Ports"].items():
            for each in outside or ():
                assert each["HostIp"] == _LOOPBACK, f"{container.name}: {inside} is published on {each['HostIp']}"
                published.append(f"{container.service} {inside}")
    wanted = {f"{name} {port}/tcp" for name, each in project.services.items() for port in each.published}
    assert set(published) == wanted, published
    page = httpx.get(project.url("api-server", 8080), follow_redirects=True, trust_env=False, timeout=60)
    assert "<title>Airflow" in page.raise_for_status().text, page.text[:200]
    say(f"published on {_LOOPBACK} only: {', '.join(sorted(published))}; the UI answers there")
