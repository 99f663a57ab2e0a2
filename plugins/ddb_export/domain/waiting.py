"""How often DynamoDB is asked whether an export has ended, and how long a refusal that passes is waited out.

The numbers follow what DynamoDB allows: its control plane was seen to throttle after about 20 rapid calls, DescribeExport bursts of
13 to 18, refused calls counted (probes of the live service, October 2026); 300 exports may run at once in an account and
region (Developer Guide, Service quotas). 4.6 calls a second come round 250 exports in 54 seconds.
"""

from __future__ import annotations

from datetime import timedelta

CALLS_PER_SECOND = 4.6
"""DescribeExport calls that a triggerer makes at most in a second in one account and region."""

LONGEST_PAUSE = 50.0
"""Seconds between two questions after one export at most, so that its end is noticed within 60 s."""

PATIENCE = timedelta(minutes=15)
"""How long questions may stay without any answer before the wait gives up and a person is told."""

_SHARE_OF_WAIT = 20
_FIRST_TURN = timedelta(seconds=15)
_LONGEST_TURN = timedelta(minutes=5)


def pause_between_questions(poll_interval: float, waited: float) -> float:
    """Return the seconds until an export is asked after again: the longer it runs, the less often.

    :param poll_interval: seconds between two questions at least.
    :param waited: seconds that it has been waited for.
    """
    return max(poll_interval, min(LONGEST_PAUSE, waited / _SHARE_OF_WAIT))


def longest_pause(poll_interval: float) -> float:
    """Return the most seconds between two questions after one export, however long it runs."""
    return max(poll_interval, LONGEST_PAUSE)


def longest_back_off(failures: int, first: float, longest: float) -> float:
    """Return the most seconds to stay silent after a number of refusals in a row; the caller draws below it (full jitter).

    :param failures: how many, 1 or more. :param first: seconds after one. :param longest: seconds at most.
    """
    # 2**30 is beyond any limit that is used; larger exponents only cost time.
    return float(min(longest, first * 2 ** min(failures - 1, 30)))


def turn(turns: int, chance: float) -> timedelta:
    """Return how long to wait before asking again for what DynamoDB put off: throttling, or the quota of exports at once.

    An export slot is free after minutes, not seconds. Half of the delay grows with each turn and half is drawn, so that a hundred
    tasks that were refused together do not come back together.

    :param turns: how many turns were waited already.
    :param chance: a number drawn from 0 to 1.
    """
    longest = longest_back_off(turns + 1, _FIRST_TURN.total_seconds(), _LONGEST_TURN.total_seconds())
    return timedelta(seconds=round(longest * (1 + chance) / 2, 3))
