"""The one error of the demo."""

from __future__ import annotations


class DemoError(RuntimeError):
    """Something did not hold, or could not be had; the message is one line with the thing, the cause and a remedy."""

    def __init__(self, thing: str, cause: str, remedy: str) -> None:
        words = (" ".join(part.split()) for part in (thing, cause.rstrip("."), remedy))
        super().__init__("{}: {}. Remedy: {}".format(*words))
