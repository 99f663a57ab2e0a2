"""The guards of compaction: fewer files, the same rows, whatever happens meanwhile."""

from __future__ import annotations

from scripts.guard import CONVERSION, PIPELINE, Guard, off

GUARDS_OF_THE_COMPACTION: tuple[Guard, ...] = (
    Guard(
        "compaction: merged files are read back before anyone sees them",
        "conversion/merging.py",
        "if difference := _difference(sources, pieces, schema):",
        "if difference := None:",
        (f"{CONVERSION}test_merging.py::test_what_is_not_the_same_when_it_is_read_back_is_refused",),
    ),
    Guard(
        "compaction: what others publish at the moment of the switch is what readers get",
        "pipeline/compaction.py",
        "return [entry for entry in entries if not self._send_on(entry, attempts)]",
        "return list(entries)",
        (f"{PIPELINE}test_compaction.py::test_what_is_published_at_the_moment_of_the_switch_is_what_readers_get",),
    ),
    off(
        "compaction: not while a widening is under way",
        "pipeline/compaction.py",
        "if widening is not None:",
        f"{PIPELINE}test_compaction.py::test_nothing_is_compacted_while_a_widening_is_under_way",
    ),
    Guard(
        "compaction: a partition that shows other rows by now is left alone",
        "pipeline/compacted.py",
        "elif values in found and _has_same_rows(ledger, compaction, found[values]):",
        "elif values in found:",
        (f"{PIPELINE}test_compaction.py::test_a_partition_that_points_elsewhere_by_now_is_left_alone",),
    ),
    Guard(
        "compaction: publishing again does not undo it",
        "pipeline/tasks.py",
        "done = keep_compacted(self.ledger, glue, done, now) if shown else done",
        "pass",
        (f"{PIPELINE}test_compaction.py::test_publishing_again_keeps_the_compacted_files",),
    ),
    Guard(
        "compaction: it does not undo a publish that overlaps it",
        "pipeline/tasks.py",
        "keep_published(self.ledger, glue, done)",
        "pass",
        (f"{PIPELINE}test_compaction.py::test_what_is_published_while_the_switch_goes_on_is_what_readers_get",),
    ),
    Guard(
        "compaction: lines in quarantine stay with the partition when older files go",
        "pipeline/older_generations.py",
        'paths = (folder,) if entry.generation in merged else (folder, f"quarantine/{folder}")',
        'paths = (folder, f"quarantine/{folder}")',
        (f"{PIPELINE}test_compaction.py::test_older_files_go_and_what_readers_see_stays",),
    ),
)
