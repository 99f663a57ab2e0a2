"""All guards that ``scripts/guards.py`` proves.

A guard's text must occur exactly once in its file; a test sees to it, so that the list cannot rot unseen. After a change of the code,
correct the text in the list; a guard that is gone on purpose goes from the list with it.
"""

from __future__ import annotations

from scripts.guards_of_the_chain import GUARDS_OF_THE_CHAIN
from scripts.guards_of_the_compaction import GUARDS_OF_THE_COMPACTION
from scripts.guards_of_the_contract import GUARDS_OF_THE_CONTRACT
from scripts.guards_of_the_data import GUARDS_OF_THE_DATA
from scripts.guards_of_the_plan import GUARDS_OF_THE_PLAN

GUARDS = (
    *GUARDS_OF_THE_CHAIN,
    *GUARDS_OF_THE_PLAN,
    *GUARDS_OF_THE_DATA,
    *GUARDS_OF_THE_CONTRACT,
    *GUARDS_OF_THE_COMPACTION,
)
"""Every guard, in the order of the promises."""
