"""URIs of the command line → places that can be read and written."""

from __future__ import annotations

import argparse
from typing import Any

from ddb_export.aws.object_store import LocalObjectStore, ObjectStore, S3ObjectStore, parse_place
from ddb_export.cli.clients import client_of


class Places:
    """Opens the places of one command; one boto3 client serves all of them.

    :param arguments: with ``profile``, ``region`` and ``endpoint_url``.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._client: Any = None

    def open(self, uri: str) -> tuple[ObjectStore, str]:
        """Return a place and the key in it that a URI names.

        A local place is the whole file system: keys are absolute paths without their first slash.

        :raises UsageError: the URI or the endpoint's URL cannot be used.
        :raises ConfigurationError: there is no such profile.
        """
        place = parse_place(uri)
        if place.bucket is None:
            return LocalObjectStore("/"), place.path.strip("/")
        if self._client is None:
            self._client = client_of(self._arguments, "s3")
        return S3ObjectStore(self._client, place.bucket), place.path
