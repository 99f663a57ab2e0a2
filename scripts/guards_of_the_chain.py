"""The guards of the chain: claims, one bill, no hole and no double."""

from __future__ import annotations

from scripts.guard import AIRFLOW, AWS, DOMAIN, PIPELINE, Guard, off

GUARDS_OF_THE_CHAIN: tuple[Guard, ...] = (
    # -------------------------------------------------------------------------------------------------------- claims
    Guard(
        "a claim takes a free number only (compare and swap)",
        "pipeline/ledger_documents.py",
        "self.store.put_if_absent(key, content)",
        "self.store.put(key, content)",
        (
            f"{PIPELINE}test_ledger.py::test_racing_for_overlapping_windows_leaves_no_overlap",
            f"{PIPELINE}test_ledger.py::test_racing_first_runs_make_one_base",
        ),
    ),
    Guard(
        "S3 is told If-None-Match",
        "aws/s3_object_store.py",
        'return self._put(key, content, content_type, IfNoneMatch="*")\n            except',
        "return self._put(key, content, content_type)\n            except",
        (f"{AWS}test_object_store.py::test_conditional_writes",),
    ),
    Guard(
        "S3 is told If-Match",
        "aws/s3_object_store.py",
        "return self._put(key, content, content_type, IfMatch=f'\"{etag}\"')",
        "return self._put(key, content, content_type)",
        (f"{AWS}test_object_store.py::test_conditional_writes",),
    ),
    off(
        "claims of one table never overlap",
        "domain/ledger.py",
        "if window.key not in allowed:",
        f"{DOMAIN}test_ledger.py::test_overlapping_claims_are_refused",
        f"{PIPELINE}test_ledger.py::test_racing_for_overlapping_windows_leaves_no_overlap",
    ),
    off(
        "two first runs make one base",
        "pipeline/ledger.py",
        "if kind is ClaimKind.BASE and chain.base_claim and wanted.closes_chain != chain.number:",
        f"{PIPELINE}test_ledger.py::test_racing_first_runs_make_one_base",
    ),
    off(
        "windows follow the base that was claimed, not the one that was planned",
        "pipeline/planning.py",
        "if run.plan.base and base.request.export_time != run.plan.base.export_time:",
        f"{PIPELINE}test_ledger.py::test_a_run_whose_base_another_run_made_elsewhere_plans_again",
    ),
    off(
        "a claim that is missing in the row is noticed",
        "pipeline/ledger_reading.py",
        "if missing is None:",
        f"{PIPELINE}test_ledger.py::test_owner_is_the_first_to_come",
        f"{PIPELINE}test_ledger.py::test_racing_first_runs_make_one_base",
    ),
    # ------------------------------------------------------------------------------------------------------ one bill
    Guard(
        "the token contains the attempt",
        "domain/export.py",
        '{"table_id": table_id, "attempt": attempt, **request.to_json()}',
        '{"table_id": table_id, **request.to_json()}',
        (f"{DOMAIN}test_export.py::test_token_differs_wherever_anything_differs",),
    ),
    Guard(
        "the token contains the TableId",
        "domain/export.py",
        '{"table_id": table_id, "attempt": attempt, **request.to_json()}',
        '{"attempt": attempt, **request.to_json()}',
        (f"{DOMAIN}test_export.py::test_token_differs_wherever_anything_differs",),
    ),
    Guard(
        "the token contains the prefix",
        "domain/export.py",
        '{"table_id": table_id, "attempt": attempt, **request.to_json()}',
        '{"table_id": table_id, "attempt": attempt, **request.to_json(), "s3_prefix": ""}',
        (
            f"{DOMAIN}test_export.py::test_token_differs_wherever_anything_differs",
            f"{PIPELINE}test_chain_lives.py::test_one_table_kept_in_two_lakes_is_exported_to_both_without_a_conflict",
        ),
    ),
    Guard(
        "each attempt has a folder of its own",
        "domain/ledger.py",
        'folder = f"{request.s3_prefix}/{export_name(request, attempt)}"',
        'folder = f"{request.s3_prefix}/{export_name(request, 1)}"',
        (f"{DOMAIN}test_ledger.py::test_attempts_have_names_tokens_and_prefixes_of_their_own",),
    ),
    Guard(
        "the request of a claim stays as it was claimed",
        "pipeline/ledger.py",
        "if existing and existing.attempt >= (wanted.attempt or 0):\n        return existing",
        "if existing and existing.attempt >= (wanted.attempt or 0):\n        return replace(existing, request=replace("
        "wanted.request, s3_prefix=existing.request.s3_prefix))",
        (
            f"{PIPELINE}test_ledger.py::test_a_claim_keeps_the_request_that_it_was_made_with",
            f"{PIPELINE}test_chain_lives.py::test_a_configuration_that_changes_before_the_second_try_makes_no_conflict_of_tokens",
        ),
    ),
    off(
        "a stored ARN is used only if DescribeExport agrees with the claim",
        "pipeline/exports.py",
        "if differences:",
        f"{PIPELINE}test_exports.py::test_export_of_another_window_in_the_same_prefix_is_not_taken",
    ),
    Guard(
        "an export is looked for in the attempt's folder",
        "pipeline/exports.py",
        "if adopted := _best(claim, found.values(), usable_only=True):",
        "if adopted := None:",
        (
            f"{PIPELINE}test_exports.py::test_after_the_token_has_expired_it_is_found_by_listing",
            f"{PIPELINE}test_exports.py::test_export_that_a_person_started_for_the_same_window_and_prefix_is_adopted",
        ),
    ),
    Guard(
        "after the token's life DynamoDB's list is asked",
        "pipeline/exports.py",
        "if now - claim.claimed_at < TOKEN_LIFETIME - TOKEN_MARGIN:",
        "if True:",
        (f"{PIPELINE}test_exports.py::test_after_the_token_has_expired_it_is_found_by_listing",),
    ),
    Guard(
        "the token's life is judged by the newest of AWS's answers",
        "pipeline/exports.py",
        "max(now, self.dynamodb.answered_at)",
        "now",
        (f"{PIPELINE}test_exports.py::test_a_worker_that_was_suspended_until_the_token_expired_starts_nothing",),
    ),
    off(
        "an export that cannot be asked after is not taken for none",
        "pipeline/exports.py",
        'if error.code != "ExportNotFoundException":',
        f"{PIPELINE}test_replaced_files.py::test_whoever_cannot_ask_after_exports_starts_no_second_one",
    ),
    off(
        "an export of a table that was made again is not started for the old claim",
        "pipeline/exports.py",
        "if identity.table_id != claim.table_id:",
        f"{PIPELINE}test_exports.py::test_table_that_was_created_again_is_not_exported_in_the_place_of_the_old_one",
    ),
    off(
        "a verified export is not asked for again, though DynamoDB has forgotten it",
        "operators/export.py",
        "if self._is_verified(claim):",
        f"{AIRFLOW}test_clearing.py::test_clearing_a_whole_run_when_dynamodb_has_forgotten_its_exports",
    ),
    off(
        "a run's plan is kept and replayed when it is cleared",
        "operators/plan.py",
        "if kept and not is_true(self.dry_run_only):",
        f"{AIRFLOW}test_manual_runs.py::test_windows_are_exported_again_and_the_new_attempt_takes_their_place",
    ),
    off(
        "an empty ledger beside raw exports is no first run",
        "pipeline/planning.py",
        "if signs:",
        f"{PIPELINE}test_ledger.py::test_empty_ledger_beside_raw_exports_is_no_first_run",
    ),
    Guard(
        "a run over the budget is refused",
        "domain/cost.py",
        "if budget.run is None or estimated.total <= budget.run:",
        "if True:",
        (f"{DOMAIN}test_cost.py::test_over_the_budget_is_refused_with_sum_basis_and_remedy",),
    ),
    Guard(
        "the budget stops a run before it claims",
        "operators/plan.py",
        "require_within_budget(estimated, self._budget,",
        "(lambda *_: None)(estimated, self._budget,",
        (
            f"{AIRFLOW}test_manual_runs.py::test_a_budget_stops_a_run_before_anything_is_claimed_and_a_dry_run_names_the_price",
        ),
    ),
    # -------------------------------------------------------------------------------------------- no hole, no double
    Guard(
        "the head stops at a gap",
        "domain/ledger.py",
        "if stretch.start <= head < stretch.end:",
        "if head < stretch.end:",
        (f"{DOMAIN}test_ledger.py::test_island_does_not_move_the_head",),
    ),
    Guard(
        "the highest verified attempt counts",
        "domain/ledger.py",
        "if entry.subject not in best or entry.attempt > best[entry.subject].attempt:",
        "if entry.subject not in best or entry.attempt < best[entry.subject].attempt:",
        (f"{DOMAIN}test_ledger.py::test_highest_verified_attempt_counts",),
    ),
    off(
        "what was verified of another table of the same name counts nothing",
        "domain/ledger.py",
        "if entry.table_id != self.table_id:",
        f"{DOMAIN}test_ledger.py::test_nothing_of_a_dropped_table_counts_for_the_new_one",
    ),
    off(
        "no window is planned on the chain of another table",
        "domain/planning.py",
        "if claim.table_id != rules.identity.table_id:",
        f"{DOMAIN}test_planning.py::test_another_table_of_the_same_name_is_refused_until_a_new_base",
    ),
    off(
        "no run follows on a chain under another filter",
        "domain/planning.py",
        "if rules.filter_changed:",
        f"{DOMAIN}test_planning_filter.py::test_no_run_follows_under_another_filter",
    ),
    Guard(
        "no window under another filter lies behind a new base",
        "domain/planning.py",
        "rules.first_restorable(), *rules.ends_under_another_filter())",
        "rules.first_restorable())",
        (f"{DOMAIN}test_planning_filter.py::test_a_new_base_stands_behind_every_window_under_the_other_filter",),
    ),
    Guard(
        "nothing is claimed on a chain under another filter",
        "domain/ledger.py",
        "self._refuse_other_filter(kind, request, table_id)",
        "pass",
        (f"{DOMAIN}test_planning_filter.py::test_a_base_keeps_its_filter_once_windows_were_claimed_behind_it",),
    ),
    Guard(
        "no base is claimed before windows under another filter",
        "domain/ledger.py",
        "self._refuse_before_other_filter(base, request)",
        "pass",
        (f"{DOMAIN}test_planning_filter.py::test_a_base_planned_before_windows_under_another_filter_is_not_claimed",),
    ),
    off(
        "a plan is not replayed for a table that took the place of its own",
        "pipeline/planning.py",
        "if table_id is not None and table_id != identity.table_id:",
        "tests/model/test_table_life.py"
        "::test_a_full_export_that_was_planned_for_a_table_that_is_gone_is_not_made_of_the_next_one",
    ),
    off(
        "no window is claimed on the chain of another table",
        "domain/ledger.py",
        "if other and self.base_claim and self.base_claim.table_id != table_id:",
        f"{PIPELINE}test_chain_lives.py::test_a_table_that_was_made_again_is_claimed_only_as_a_new_base",
    ),
    off(
        "a window is 15 minutes to 24 hours",
        "domain/window.py",
        "if not SHORTEST <= self.length <= LONGEST:",
        f"{DOMAIN}test_window.py::test_window_is_15_minutes_to_24_hours",
    ),
    Guard(
        "no window is asked for before it has settled",
        "domain/planning_rules.py",
        "return max(ready) if ready and max(ready) > request.now else None",
        "return None",
        (f"{DOMAIN}test_planning.py::test_a_window_is_not_asked_for_before_it_has_settled",),
    ),
    Guard(
        "what recovery no longer reaches is refused, and named",
        "domain/planning_rules.py",
        "lost = self.out_of_reach(windows)\n        if not lost:",
        "lost = self.out_of_reach(windows)\n        if True:",
        (
            f"{DOMAIN}test_planning.py::test_a_hole_that_recovery_no_longer_reaches_is_named",
            f"{PIPELINE}test_chain_lives.py::test_a_backfill_that_reaches_back_before_recovery_is_refused_whole_and_by_name",
        ),
    ),
    Guard(
        "no rest is left that is too short to export",
        "domain/planning_rules.py",
        "end if end - span.end < SHORTEST else span.end",
        "span.end",
        (f"{DOMAIN}test_planning_edges.py::test_less_than_a_quarter_of_an_hour_before_a_claim_is_taken_along",),
    ),
    Guard(
        "windows wait for a base that is verified",
        "dag_factory.py",
        "verify_base >> windows >> hand_over",
        "windows >> hand_over",
        (f"{AIRFLOW}test_recovery.py::test_no_window_runs_on_a_base_that_failed",),
    ),
    off(
        "what the previous run handed over is compared with the ledger, which wins",
        "operators/plan.py",
        "if said and said != proved:",
        f"{AIRFLOW}test_dag_runs.py::test_catches_up_in_one_run_after_days_of_pause_and_the_ledger_wins",
    ),
    off(
        "a ledger of another table is refused",
        "domain/evidence.py",
        "if self.table_arn != table_arn:",
        f"{DOMAIN}test_ledger.py::test_owner_refuses_others_and_newer_formats",
    ),
    off(
        "a ledger of a newer format is refused",
        "domain/evidence.py",
        "if self.ledger_format > LEDGER_FORMAT:",
        f"{DOMAIN}test_ledger.py::test_owner_refuses_others_and_newer_formats",
    ),
    off(
        "parameters of a run that is not made by hand are refused, not ignored",
        "domain/planning.py",
        "if asked and request.kind is not RunKind.MANUAL:",
        f"{PIPELINE}test_chain_lives.py::test_a_backfill_that_is_given_parameters_is_refused_instead_of_ignoring_them",
    ),
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
)
