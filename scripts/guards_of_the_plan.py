"""Guards of what a run plans: what it refuses to plan, what it need not, and what a summary may say instead of the ledger."""

from __future__ import annotations

from scripts.guard import DOMAIN, PIPELINE, Guard, off

GUARDS_OF_THE_PLAN: tuple[Guard, ...] = (
    off(
        "a stretch that begins or ends inside a claim is refused",
        "domain/planning.py",
        "if window.start < edge < window.end:",
        f"{DOMAIN}test_planning_wishes.py::test_an_edge_inside_a_claim_is_refused_with_the_edges_that_are_allowed",
    ),
    off(
        "a summary that was made for fewer outputs is not used",
        "pipeline/ledger_reading.py",
        "if summary is None or not summary.serves(outputs):",
        f"{PIPELINE}test_ledger_summary.py::test_a_summary_for_fewer_outputs_is_not_used",
    ),
    Guard(
        "a window that is exported again is not settled before that is verified",
        "domain/summary.py",
        "if entry is None or entry.attempt != claim.attempt:",
        "if entry is None:",
        (
            f"{DOMAIN}test_summary_attempts.py::test_an_attempt_that_is_not_verified_is_not_folded_into_the_one_before_it",
        ),
    ),
    off(
        "a backfill of what is verified does not mind that the chain ended",
        "domain/planning.py",
        "if not _goes_on(rules, claim) and (rebuilding := _rebuild_alone(rules)):",
        f"{DOMAIN}test_planning_ends.py::test_what_is_verified_is_rebuilt_by_a_backfill_wherever_the_chain_ended",
    ),
    off(
        "nothing follows on a base whose filter may be refused",
        "domain/planning.py",
        "if not rules.base_began:",
        f"{PIPELINE}test_filtered_exports.py::test_nothing_is_claimed_behind_a_base_whose_filter_dynamodb_refuses_so_that_it_can_be_corrected",
    ),
    off(
        "a base that was never exported, and that recovery has passed, is known to be lost",
        "pipeline/planning.py",
        "if chain.base is None and base.request.export_time < earliest:",
        f"{PIPELINE}test_chain_lives.py::test_what_was_claimed_and_not_started_before_recovery_passed_it_ends_the_chain",
    ),
)
