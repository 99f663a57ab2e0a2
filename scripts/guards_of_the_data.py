"""The guards of the data: only what is verified is seen, and doing it again gives the same."""

from __future__ import annotations

from scripts.guard import AWS, CLI, CONVERSION, DOMAIN, PIPELINE, Guard, off

GUARDS_OF_THE_DATA: tuple[Guard, ...] = (
    # ------------------------------------------------------------------------------------ only verified data is seen
    off(
        "verification: the MD5 of the manifests",
        "pipeline/source.py",
        'if state == "wrong":',
        f"{PIPELINE}test_verification.py::TestDamage::test_wrong_md5_of_a_manifest",
    ),
    Guard(
        "verification: the MD5 of each file",
        "pipeline/verification.py",
        "if digest.md5 != file.md5:",
        "if False:",
        (f"{PIPELINE}test_verification.py::TestDamage::test_one_changed_byte",),
    ),
    Guard(
        "verification: the lines of each file",
        "pipeline/verification.py",
        "elif digest.lines != file.item_count:",
        "elif False:",
        (f"{PIPELINE}test_verification.py::TestDamage::test_count_of_one_file",),
    ),
    Guard(
        "verification: the files' counts add up",
        "domain/manifest.py",
        "if summary.item_count is None or total == summary.item_count:",
        "if True:",
        (f"{PIPELINE}test_verification.py::TestDamage::test_counts_that_do_not_add_up",),
    ),
    Guard(
        "verification: a file that is missing (by listing)",
        "pipeline/verification.py",
        "findings.append(_missing(store.uri(key)))",
        "pass",
        (f"{PIPELINE}test_verification.py::TestDamage::test_missing_file",),
    ),
    off(
        "verification: the ETag of each file (by listing)",
        "pipeline/verification.py",
        "if agrees is False:",
        f"{PIPELINE}test_replaced_files.py::test_whoever_may_not_read_the_data_sees_by_the_etag_that_a_file_was_replaced",
    ),
    Guard(
        "verification: the manifest is of the table that was asked for",
        "domain/agreement.py",
        '("TableArn", request.table_arn, description.table_arn),',
        "",
        (f"{PIPELINE}test_verification.py::TestExpectation::test_each_point_is_compared",),
    ),
    Guard(
        "verification: the manifest is of the TableId that was asked for",
        "domain/agreement.py",
        "if table_id is not None:",
        "if False:",
        (f"{PIPELINE}test_verification.py::TestExpectation::test_each_point_is_compared",),
    ),
    Guard(
        "verification: the manifest is of the window that was asked for",
        "domain/agreement.py",
        '("ExportFromTime", start, description.start),',
        "",
        (f"{PIPELINE}test_verification.py::TestExpectation::test_each_point_is_compared",),
    ),
    Guard(
        "verification: the manifest is of the view that was asked for",
        "domain/agreement.py",
        '("ExportViewType", request.view, description.view),',
        "",
        (f"{PIPELINE}test_verification.py::TestExpectation::test_each_point_is_compared",),
    ),
    Guard(
        "verification: the export has the filter that was asked for",
        "domain/agreement.py",
        '("FilterSpecification", request.export_filter, description.export_filter),',
        "",
        (f"{PIPELINE}test_filtered_exports.py::test_an_export_under_another_filter_is_not_taken",),
    ),
    off(
        "verification: only a COMPLETED export",
        "domain/manifest_agreement.py",
        "if description.status is not ExportStatus.COMPLETED:",
        f"{PIPELINE}test_verification.py::TestExpectation::test_export_that_is_not_completed",
    ),
    Guard(
        "nothing is recorded as verified that is not",
        "pipeline/tasks.py",
        "report.require_ok()",
        "pass",
        (f"{PIPELINE}test_tasks.py::test_export_of_another_table_or_window_is_not_verified",),
    ),
    off(
        "what is converted is what was verified",
        "pipeline/tasks.py",
        "if summary is None or summary.export_arn != entry.export_arn:",
        f"{PIPELINE}test_replaced_files.py::test_a_summary_that_names_another_export_is_not_the_one_that_was_verified",
    ),
    Guard(
        "a partition is shown after all its files are there",
        "pipeline/tasks.py",
        "self._require_files(entry, generation, parts)",
        "pass",
        (f"{PIPELINE}test_tasks.py::test_converted_files_that_are_gone_are_not_shown",),
    ),
    off(
        "an attempt is not shown once a later one is verified",
        "pipeline/tasks.py",
        "if self.ledger.verified_of(chain, [entry.export]) != [entry]:",
        f"{PIPELINE}test_publishing_order.py::test_publishing_an_older_attempt_once_more_does_not_show_it_again",
    ),
    off(
        "older columns are not shown once newer ones are",
        "pipeline/tasks.py",
        "if shown and shown.schema_version > (groups[0].schema_version or 0):",
        f"{PIPELINE}test_publishing_order.py::test_publishing_with_older_columns_once_more_does_not_show_them_again",
    ),
    off(
        "a window is shown in another's place only when all that replaces it is verified",
        "pipeline/tasks.py",
        "if subject not in chain.superseded:",
        f"{PIPELINE}test_publishing_order.py::test_a_replaced_window_goes_when_all_that_replaces_it_is_verified",
    ),
    Guard(
        "a window that was replaced is not seen twice",
        "pipeline/tasks.py",
        "glue.remove_partition(table, partition_values(partition))",
        "pass",
        (f"{PIPELINE}test_publishing_order.py::test_a_replaced_window_goes_when_all_that_replaces_it_is_verified",),
    ),
    off(
        "converted rows are as many as verified items",
        "pipeline/tasks.py",
        "if counted != entry.item_count:",
        f"{PIPELINE}test_tasks.py::test_counts_that_do_not_add_up_are_not_shown",
    ),
    Guard(
        "evidence of publishing comes after Glue",
        "pipeline/tasks.py",
        "glue.upsert_partitions(table, [partition])",
        "try:\n            glue.upsert_partitions(table, [partition])\n        except Exception:\n            pass",
        (f"{PIPELINE}test_tasks.py::test_publish_that_died_at_any_call_is_done_again",),
    ),
    Guard(
        "evidence is written once",
        "pipeline/ledger.py",
        "if self._documents.put_once(key, entry.to_json()):\n            return entry\n"
        "        return self._documents.read(key, VerifiedEntry.from_json) or entry",
        "self._documents.put(key, entry.to_json())\n        return entry",
        (f"{PIPELINE}test_ledger.py::test_evidence_is_written_once",),
    ),
    off(
        "a Glue table of someone else is not touched",
        "aws/glue.py",
        "if parameters.get(MADE_BY) != table.made_for:",
        f"{AWS}test_glue.py::test_table_of_another_lake_is_not_touched",
        f"{AWS}test_glue.py::test_table_of_someone_else_is_not_touched",
    ),
    Guard(
        "a widening changes a table's types before those of its partitions",
        "pipeline/widening.py",
        "            self._change_types(widening, table)\n",
        "",
        (f"{PIPELINE}test_widening.py::test_killed_at_any_write_it_goes_on_and_readers_never_get_a_wrong_answer",),
    ),
    Guard(
        "what was converted to types of before a widening is not shown",
        "pipeline/tasks.py",
        "groups = self._with_present_types(entry, groups)",
        "pass",
        (
            (
                f"{PIPELINE}test_widening.py"
                "::test_what_was_converted_to_the_old_types_is_converted_again_when_it_is_published"
            ),
        ),
    ),
    off(
        "columns that are widened while an export is published are its columns in the end",
        "pipeline/tasks.py",
        "if self._types_changed(generation.schema):",
        f"{PIPELINE}test_widening.py::test_columns_that_are_widened_while_an_export_is_published_are_its_columns_in_the_end",
    ),
    # ------------------------------------------------------------------------- raw data goes only when nothing needs it
    Guard(
        "raw data of what is not published stays",
        "domain/retention.py",
        "missing = [output for output in typed if not self.chain.is_published(each, output)]",
        "missing: list[str] = []",
        (f"{CLI}test_lifecycle.py::test_what_is_needed_stays_and_the_reason_is_named",),
    ),
    Guard(
        "raw data of the base of the live chain stays",
        "domain/retention.py",
        "is_base = entry.subject == self.chain.base.subject",
        "is_base = False",
        (f"{CLI}test_lifecycle.py::test_a_plan_changes_nothing_and_what_it_says_is_done",),
    ),
    Guard(
        "raw data that published files do not stand for stays",
        "pipeline/retention.py",
        'if is_whole(self._store, self._lake, {**live, "partition": evidence.partition}, entry):',
        "if True:",
        (f"{CLI}test_lifecycle.py::test_what_is_needed_stays_and_the_reason_is_named",),
    ),
    Guard(
        "raw data stays that was exported again with another view or filter",
        "domain/retention.py",
        "if asked is None or self._asked_for(each.export) != asked:",
        "if False:",
        (f"{CLI}test_lifecycle.py::test_what_is_needed_stays_and_the_reason_is_named",),
    ),
    Guard(
        "raw data stays if nothing stands for what took its place",
        "domain/retention.py",
        "if reason := not_rebuildable(each):",
        "if (reason := not_rebuildable(each)) and False:",
        (f"{CLI}test_lifecycle.py::test_what_is_needed_stays_and_the_reason_is_named",),
    ),
    off(
        "an export is judged again just before its raw data goes",
        "pipeline/retention.py",
        "if verdict.fate is not Fate.DELETE:",
        f"{CLI}test_lifecycle.py::test_what_happens_after_the_plan_keeps_the_files",
    ),
    Guard(
        "the ledger of another table is not thinned out",
        "pipeline/retention.py",
        "owner.require_declared(self._declared)",
        "pass",
        (f"{CLI}test_lifecycle.py::test_the_ledger_of_another_table_is_refused",),
    ),
    Guard(
        "a widening and a removal of raw data see each other",
        "pipeline/widening.py",
        "self._require_raw_still(widening, plan.entries)",
        "pass",
        (f"{CLI}test_lifecycle.py::test_a_widening_that_begins_meanwhile_and_a_removal_see_each_other",),
    ),
    Guard(
        "an output that is configured later is not asked of removed raw data",
        "pipeline/ledger_reading.py",
        "return found.union(pair for pair in unknown if pair[1] in removed)",
        "return found",
        (f"{CLI}test_lifecycle.py::test_everything_else_knows_what_was_removed",),
    ),
    Guard(
        "the lifecycle rules of others stay",
        "domain/retention.py",
        "return [*(_with_filter(each) for each in others), dict(rule)]",
        "return [dict(rule)]",
        (
            f"{DOMAIN}test_retention.py::test_rules_of_others_stay_and_an_old_form_becomes_what_s3_takes_beside_a_filter",
        ),
    ),
    # ------------------------------------------------------------------------------- what is not shown is counted and told
    Guard(
        "a blank before a colon does not make up for a name that occurs twice",
        "conversion/checked.py",
        "if uncounted := lines_with_uncounted_names(text):",
        "if uncounted := lines_with_uncounted_names(b''):",
        (f"{CONVERSION}test_differential.py::test_a_blank_in_one_line_hides_no_name_that_another_has_twice",),
    ),
    Guard(
        "lines in quarantine are a trouble that is told of",
        "pipeline/freshness.py",
        "quarantined=newest_quarantined(ledger, chain),",
        "quarantined=newest_quarantined(ledger, chain)[:0],",
        (f"{PIPELINE}test_quarantine.py::test_the_newest_is_named_and_the_others_counted",),
    ),
    # --------------------------------------------------------------------------------------------- again is the same
    Guard(
        "a version of the schema is written only if its number is free",
        "pipeline/ledger.py",
        "if self._documents.put_once(_schema_path(extended.version), extended.to_json()):",
        "if self._documents.put(_schema_path(extended.version), extended.to_json()) is None:",
        (f"{PIPELINE}test_ledger.py::test_racing_schema_extensions_agree",),
    ),
    Guard(
        "a generation is named by its inputs",
        "domain/layout.py",
        "text = json.dumps([export_arn, schema_fingerprint, converter_version])",
        'text = __import__("uuid").uuid4().hex',
        (f"{PIPELINE}test_tasks.py::test_each_step_twice_ends_in_the_same_lake",),
    ),
    Guard(
        "a stream that broke goes on in the same version of the file",
        "aws/s3_object_store.py",
        'Range=f"bytes={self._position}-", IfMatch=f\'"{self.etag}"\'',
        'Range=f"bytes={self._position}-"',
        (f"{AWS}test_object_store.py::test_stream_does_not_mix_two_versions",),
    ),
)
