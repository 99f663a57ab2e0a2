"""A bucket's lifecycle rules, as far as they can take objects away or out of reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OUT_OF_REACH = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects must be restored before they can be read (S3 User Guide, "Understanding S3 Glacier storage classes")."""


@dataclass(frozen=True, slots=True)
class LifecycleRule:
    """One enabled rule.

    :param name: its ID, or its place. :param prefix: keys that it is about; empty for all.
    :param tags: it is only about objects that have all of these, as key and value; empty for all.
    :param larger_than: it is only about objects of more bytes than these.
    :param deletes: it deletes current versions. :param moves_to: storage classes that it moves them to.
    """

    name: str
    prefix: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    larger_than: int = 0
    deletes: bool = False
    moves_to: frozenset[str] = frozenset()

    @property
    def harm(self) -> str | None:
        """What it does to the objects that it is about, in words; None if they stay readable."""
        if self.deletes:
            return "deletes"
        archived = sorted(self.moves_to & OUT_OF_REACH)
        return f"moves to {archived[0]}" if archived else None

    def touches(self, folder: str, tags: Mapping[str, str | None] | None = None) -> bool:
        """Tell whether it can be about an object below a folder.

        :param folder: key prefix without a slash at its end.
        :param tags: the tags that objects there have; a value of None stands for any.
        """
        below, had = f"{folder}/", tags or {}
        # An object must have all the tags of a rule (S3 User Guide, "Lifecycle configuration elements", filter).
        tagged = all(key in had and had[key] in (None, value) for key, value in self.tags)
        return tagged and (below.startswith(self.prefix) or self.prefix.startswith(below))
