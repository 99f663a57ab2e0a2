"""The guards of the contract: what its owner forbade is in no output, and nobody learns late that it was."""

from __future__ import annotations

from scripts.guard import CONVERSION, PIPELINE, Guard, off

_CONTRACT = f"{PIPELINE}test_contract.py::"
_ENTITIES = f"{PIPELINE}test_entities.py::"
_IN_NO_OUTPUT = f"{CONVERSION}test_contract.py::test_dropped_and_hashed_values_are_in_no_output"
_CAME_LATER = f"{_CONTRACT}test_a_rule_that_comes_later_leaves_older_partitions_readable_until_they_are_rewritten"

GUARDS_OF_THE_CONTRACT: tuple[Guard, ...] = (
    Guard(
        "contract: what is dropped is in no old image and in no exactly read row",
        "domain/contract.py",
        "for name, value in image.items()\n            if name not in self.dropped",
        "for name, value in image.items()",
        (_IN_NO_OUTPUT,),
    ),
    Guard(
        "contract: what is hashed is in no old image and in no exactly read row",
        "domain/contract.py",
        "name: self.hash_of(value) if name in self.hashed else value",
        "name: value",
        (_IN_NO_OUTPUT,),
    ),
    Guard(
        "contract: what is dropped is in no column and not in _overflow",
        "conversion/fast_batch.py",
        "elif attribute not in contract.dropped:",
        "else:",
        (_IN_NO_OUTPUT,),
    ),
    off(
        "contract: what is hashed is in no column and not in _overflow",
        "conversion/fast_batch.py",
        'if attribute in contract.hashed and tag != "NULL":',
        _IN_NO_OUTPUT,
    ),
    Guard(
        "contract: a line in quarantine is not kept where anything is dropped or hashed",
        "conversion/parquet.py",
        "keep_lines=not contract.redacts",
        "keep_lines=True",
        (_IN_NO_OUTPUT,),
    ),
    Guard(
        "contract: without the key nothing is hashed",
        "domain/contract.py",
        "        if not self.key:\n            where",
        "        if not self.key:\n            return b'any'\n            where",
        (f"{CONVERSION}test_contract.py::test_without_a_key_nothing_is_hashed",),
    ),
    Guard(
        "contract: a number that a declared decimal cannot hold is not bent to fit",
        "conversion/cells.py",
        "if shape.fraction_digits > scale or shape.integer_digits > precision - scale:",
        "if False:",
        (f"{CONVERSION}test_contract.py::test_declared_types",),
    ),
    off(
        "contract: a map with a member that is not declared is not cut down to a struct",
        "conversion/cells.py",
        "if member is None or member[1] not in value:",
        f"{CONVERSION}test_contract.py::test_declared_types",
    ),
    off(
        "contract: more in quarantine than it allows is not shown",
        "domain/contract.py",
        "if quarantined > allowed:",
        f"{_CONTRACT}test_what_is_quarantined_counts_and_may_be_too_much",
    ),
    Guard(
        "contract: the quarantine limit is asked before readers see anything",
        "pipeline/tasks.py",
        'self.contract.require_quarantine(f"export {entry.export}", quarantined, entry.item_count)',
        "pass",
        (f"{_CONTRACT}test_what_is_quarantined_counts_and_may_be_too_much",),
    ),
    off(
        "contract: one that says another type than is published is refused",
        "domain/schema.py",
        "if wanted != column:",
        f"{_CONTRACT}test_a_contract_against_a_published_column_is_refused",
    ),
    off(
        "contract: one that says another name than is published is refused",
        "domain/schema.py",
        "if rule.name and rule.name != column.name:",
        f"{_CONTRACT}test_a_contract_against_a_published_column_is_refused",
    ),
    Guard(
        "contract: published partitions say what was taken out of them",
        "pipeline/published_evidence.py",
        "redaction=generation.contract.redaction.to_json(),",
        "redaction={},",
        (_CAME_LATER,),
    ),
    off(
        "contract: partitions that show what it drops or hashes by now are rewritten",
        "domain/widening.py",
        "if self.redaction is not None and redaction.differences(made_under(entry)):",
        _CAME_LATER,
    ),
    Guard(
        "contract: a generation that is shown again has evidence of it",
        "pipeline/ledger.py",
        "if newest and entry.generation not in (newest.generation, newest.made_from):",
        "if False:",
        (f"{_CONTRACT}test_a_rule_that_goes_again_and_another_key_are_seen_and_mended_too",),
    ),
    Guard(
        "entities: an item is one of them only",
        "domain/entity_views.py",
        '*(f"NOT {each}" for each in earlier)',
        '*(f"NOT {each}" for each in earlier[:0])',
        (f"{_ENTITIES}test_each_entity_has_its_rows_and_its_columns",),
    ),
    Guard(
        "entities: a removed item counts for what it was",
        "domain/entity_views.py",
        'return f"({condition}) OR (\\"_op\\" = \'REMOVE\' AND {before})"',
        "return condition if before else condition",
        (f"{_ENTITIES}test_an_item_that_becomes_another_entity_is_in_one_at_any_time",),
    ),
    off(
        "entities: no column is missing while it is not known which have it",
        "domain/entity_views.py",
        "if not self.known.whole:",
        f"{_ENTITIES}test_entities_that_are_declared_later_have_all_columns_of_before_until_these_are_rewritten",
    ),
    Guard(
        "older generations: what Glue or _live.json points at is not deleted",
        "pipeline/older_generations.py",
        "left = [entry for entry in rested if entry.location not in pointed_at]",
        "left = list(rested)",
        (f"{_CONTRACT}test_what_glue_points_at_is_not_older_whatever_the_ledger_says",),
    ),
    Guard(
        "older generations: what is pointed at again since they were found is not deleted",
        "pipeline/older_generations.py",
        "if each not in shown:",
        "if True:",
        (f"{_CONTRACT}test_what_glue_points_at_is_not_older_whatever_the_ledger_says",),
    ),
    Guard(
        "older generations: what queries may still read is not deleted",
        "pipeline/older_generations.py",
        "if since and now - since >= rest",
        "if since",
        (_CAME_LATER,),
    ),
)
