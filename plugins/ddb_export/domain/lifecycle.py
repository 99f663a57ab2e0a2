"""A bucket's lifecycle rules, as far as they can take objects away or out of reach."""

from __future__ import annotations

from dataclasses import dataclass

OUT_OF_REACH = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects must be restored before they can be read (S3 User Guide, "Understanding S3 Glacier storage classes")."""


@dataclass(frozen=True, slots=True)
class LifecycleRule:
    """One enabled rule.

    :param name: its ID, or its place. :param prefix: keys that it is about; empty for all.
    :param tagged: it is only about objects with certain tags.
    :param larger_than: it is only about objects of more bytes than these.
    :param deletes: it deletes current versions. :param moves_to: storage classes that it moves them to.
    """

    name: str
    prefix: str = ""
    tagged: bool = False
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

    def touches(self, folder: str) -> bool:
        """Tell whether it can be about an object below a folder that no rule's tag was put on.

        :param folder: key prefix without a slash at its end.
        """
        below = f"{folder}/"
        return not self.tagged and (below.startswith(self.prefix) or self.prefix.startswith(below))
