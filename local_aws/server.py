"""The server process: ministack and the lab on one port, of the loopback address unless another is given. Started by ``python3 -m local_aws``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys

from local_aws import options

HOST = "127.0.0.1"
# ministack reads these once, at import: no listener but ours, no containers, no state on disk.
ENVIRONMENT = {
    "IOT_MTLS_ENABLED": "0",
    "SFTP_ENABLED": "0",
    "PERSIST_STATE": "0",
    "S3_PERSIST": "0",
    "MINISTACK_HOST": HOST,
    "DOCKER_HOST": "unix:///nonexistent/docker.sock",
    "AUTH": "false",
}


def main(arguments: list[str]) -> int:
    """Run the server until SIGTERM, SIGINT or the end of ``--parent-pid``; returns the exit code."""
    parsed = options.parse(arguments)
    try:
        listener = _listen(parsed.host, parsed.port)
    except OSError as error:
        print(
            f"local_aws cannot listen on {parsed.host}:{parsed.port}: {error}; choose another --port or 0",
            file=sys.stderr,
        )
        return 2
    port = listener.getsockname()[1]
    os.environ.update(ENVIRONMENT, GATEWAY_PORT=str(port), LOG_LEVEL="INFO" if parsed.verbose else "ERROR")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO if parsed.verbose else logging.ERROR)
    from local_aws import hooks

    problems = hooks.problems()
    if problems:
        print(
            f"local_aws does not fit this ministack (it needs {hooks.VERSION}):", *problems, sep="\n  ", file=sys.stderr
        )
        return 2
    asyncio.run(_serve(parsed, listener, port))
    return 0


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(1024)
    return listener


async def _serve(parsed: argparse.Namespace, listener: socket.socket, port: int) -> None:
    from local_aws import hooks
    from local_aws.gateway import Gateway
    from local_aws.laboratory import Laboratory

    laboratory = Laboratory(parsed.export_seconds)
    laboratory.install()
    gateway = Gateway(laboratory, lambda: print(f"local_aws ready on http://{HOST}:{port}", flush=True))
    config = hooks.module("hypercorn.config").Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.accesslog = None
    config.errorlog = logging.getLogger("local_aws.http")
    config.errorlog.addFilter(_not_on_purpose)
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    config.h11_max_incomplete_size = 1024 * 1024
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    helpers = [asyncio.create_task(laboratory.sweep_forever())]
    if parsed.parent_pid:
        helpers.append(asyncio.create_task(_stop_without(parsed.parent_pid, stop)))
    await hooks.module("hypercorn.asyncio").serve(gateway, config, shutdown_trigger=stop.wait)
    laboratory.faults.clear()
    for helper in helpers:
        helper.cancel()


def _not_on_purpose(record: logging.LogRecord) -> bool:
    """Keep the connections that the lab was asked to drop out of the log."""
    from local_aws.gateway import ConnectionDroppedError

    return not (record.exc_info and isinstance(record.exc_info[1], ConnectionDroppedError))


async def _stop_without(parent: int, stop: asyncio.Event) -> None:
    while _alive(parent):  # noqa: ASYNC110 - the end of another process raises no event
        await asyncio.sleep(0.5)
    stop.set()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
