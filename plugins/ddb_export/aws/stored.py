"""What a place says about an object that it holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stored:
    """One entry of a listing.

    :param key: the object's key; a folder's ends with ``/``.
    :param size: in bytes; 0 for a folder.
    :param etag: without quotes; None where the place keeps none (local files, folders).
    """

    key: str
    size: int
    etag: str | None

    @property
    def is_folder(self) -> bool:
        """Whether this stands for all objects below a common prefix."""
        return self.key.endswith("/")


@dataclass(frozen=True, slots=True)
class StoredContent:
    """A whole object.

    :param content: its bytes.
    :param etag: without quotes; what ``put_if_match`` takes. Of local files it is made from the content.
    """

    content: bytes
    etag: str
