#!/usr/bin/env python3
"""Write docs/failures.md: what goes wrong in the wild, what must come of it, and the tests that cover it.

The tests say themselves what they cover: ``@pytest.mark.scenario("F16")``. They are read, not imported, so that this runs in a second
and without any environment. ``make scenarios`` calls it; a test compares the page with what it writes.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "failures.md"
TESTS = ROOT / "tests"


class Scenario(NamedTuple):
    """Something that goes wrong.

    :param happens: what, as a title. :param must: what has to come of it, in one or two sentences.
    """

    happens: str
    must: str


class MarkerError(Exception):
    """A marker that cannot be read; the message is one line with the thing, the cause and a remedy."""


SCENARIOS: Mapping[str, Scenario] = {
    "F1": Scenario(
        "An incremental export starts, and then FAILED",
        "Its window stays open and is tried again. Later windows may run, but the data does not count as complete past the hole.",
    ),
    "F2": Scenario("The full export of the base FAILED", "No incremental export runs on a base that is not verified."),
    "F3": Scenario(
        "The worker dies between asking for an export and noting its ARN",
        "Whoever comes next finds the export: by its token while DynamoDB remembers it, later by looking for it. One is billed.",
    ),
    "F4": Scenario(
        "A task that succeeded is cleared",
        "It looks again, or does its work again on purpose. It never turns green without looking, and never bills again unasked.",
    ),
    "F5": Scenario(
        "Several runs of one table at once: schedule, backfill, by hand",
        "Claims keep their windows apart; two first runs make one base.",
    ),
    "F6": Scenario(
        "The process dies while it waits for an export",
        "Nothing says *running* for ever: whoever comes next goes on with the same export.",
    ),
    "F7": Scenario("An export takes 8 hours, or 30", "The wait has no limit of its own, and holds no worker."),
    "F8": Scenario(
        "The end of a window cannot be exported yet", "The run waits, deferred, by AWS's clock. It declares no gap."
    ),
    "F9": Scenario(
        "Nothing ran for days: an outage, a pause",
        "One run catches up, in windows of at most 24 hours of which none is under 15 minutes.",
    ),
    "F10": Scenario(
        "Point-in-time recovery was turned off and on, or no longer reaches the first hole",
        "The part that is lost is named. Then a new base is made if the configuration says so, else the run fails with that remedy.",
    ),
    "F11": Scenario(
        "The chain is older than the 35 days that recovery reaches back",
        "Nothing happens: what recovery must reach is the first hole, never the base.",
    ),
    "F12": Scenario(
        "DynamoDB forgets its exports after 90 days",
        "What is verified is proven by the ledger; nothing depends on DynamoDB's list.",
    ),
    "F13": Scenario(
        "A table was deleted and created again under the same name",
        "Its TableId tells. No window of the new table continues the old chain.",
    ),
    "F14": Scenario(
        "Other exports below one prefix, or files that are seen before the export has ended",
        "Each attempt writes below a prefix of its own; only a COMPLETED export with its manifests counts.",
    ),
    "F15": Scenario(
        "Checksum files are called .md5 in some places and .checksum in others",
        "Both are read, and none at all is said.",
    ),
    "F16": Scenario(
        "A data file is damaged or missing, or counts differ",
        "The export is not verified, and readers see nothing of it.",
    ),
    "F17": Scenario("An empty window, empty files, an empty table", "They are exports like any others, with 0 rows."),
    "F18": Scenario(
        "A read from S3 breaks off in the middle of a file",
        "It goes on by range where it broke off, and what is read is whole.",
    ),
    "F19": Scenario(
        "Items of 400 KB, more than 1,000 attributes", "Memory stays bounded; what has no column keeps its value."
    ),
    "F20": Scenario(
        "Numbers of 38 digits, beyond 2^53, with exponents, whole ones among fractions",
        "Every value comes back exactly. No number becomes a float.",
    ),
    "F21": Scenario(
        "Sets, binary values, NULL against missing, empty strings, lists and maps",
        "From every row the item can be rebuilt exactly.",
    ),
    "F22": Scenario(
        "Attributes that are named like type tags, differ by case only, or are reserved words",
        "Each gets a column of its own and keeps its exact name.",
    ),
    "F23": Scenario(
        "One attribute with two types, or another type next week",
        "A published column keeps its type; what does not fit is kept exactly beside it.",
    ),
    "F24": Scenario(
        "A new attribute in item 5,000,000",
        "Columns are decided from every record, and later ones are added, not lost.",
    ),
    "F25": Scenario("A composite key: one partition key, several sort keys", "Such items stay apart."),
    "F26": Scenario(
        "An item is deleted and written again in one window; an older window is replayed after a newer one",
        "The current state follows the order of writes, not that of runs.",
    ),
    "F27": Scenario(
        "A backfill and the schedule commit to one Iceberg table at once", "One waits its turn; neither is lost."
    ),
    "F28": Scenario("Equality deletes make a table unreadable for some engines", "None are written."),
    "F29": Scenario(
        "A partition exists with an old location or old columns", "It is set to what was published, not passed over."
    ),
    "F30": Scenario(
        "A bucket of another account, a KMS key without a grant",
        "The owner is named in the request, and a refusal says which permission or setting is missing.",
    ),
    "F31": Scenario(
        "A ClientToken is used again for another request",
        "It cannot come about: the token follows from the table, the request and the attempt. A conflict is named, not retried.",
    ),
    "F32": Scenario(
        "A hundred tables start at midnight, and DynamoDB has too many exports",
        "The rest wait their turn instead of failing.",
    ),
    "F33": Scenario(
        "A retry writes under new names and makes duplicates",
        "Names follow from what was exported, so that the same work writes the same files.",
    ),
    "F34": Scenario(
        "A backfill ignores its parameters, reaches back before recovery, or costs more than anybody meant",
        "It does what it was given or is refused as a whole, with the part and a remedy. An estimate comes before, and a budget stops it.",
    ),
    "F35": Scenario(
        "More than 50 tables take longer to parse than Airflow allows", "Parsing stays fast and calls nothing."
    ),
    "F36": Scenario(
        "Nothing ran: the scheduler is off, the DAG is paused, a trigger was lost", "Somebody is told all the same."
    ),
    "F37": Scenario("A mail for each success, the same alert twice", "One alert for one cause."),
    "F38": Scenario(
        "Times without a zone; windows computed from the time at which the run happens to start",
        "A time without a zone is refused; windows follow from data intervals, in UTC.",
    ),
    "F39": Scenario("Two archived items get one key", "None is lost."),
    "F40": Scenario(
        "The table is deleted after an export that nobody verified", "Only a verified export counts as one."
    ),
    "F41": Scenario(
        "A deployment or a reset is repeated half-way",
        "No second full export starts: the ledger, or signs of an earlier chain, stop it.",
    ),
    "F42": Scenario(
        "Names too long for AWS, or permissions missing at deployment",
        "A wrong configuration is refused in words, before anything runs.",
    ),
}
"""Every scenario, by number."""

_OPENING = """\
# What goes wrong, and the tests that cover it

Failures that users of DynamoDB exports and of other tools have met in production. Each names what must come of it, and the tests that inject it
or prove that it cannot come about. Tests of the [local AWS](../local_aws/README.md) show that it behaves as AWS does there; they alone cover nothing.

Made by `make scenarios` from the tests' markers, `@pytest.mark.scenario("F16")`; do not edit it.
"""

_LAB_TESTS = "tests/local_aws/"


def covering_tests(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Return the tests of each scenario that has any.

    :param folder: folder of tests.
    :return: by number: path of the file below the folder's parent, and name of the test; in order of file and line.
    :raises MarkerError: a marker names no known scenario, or belongs to no test.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(folder.rglob("*.py")):
        place = path.relative_to(folder.parent).as_posix()
        for number, test in _marked_tests(ast.parse(path.read_text()), place):
            tests = found.setdefault(number, [])
            if (place, test) not in tests:
                tests.append((place, test))
    return found


def _marked_tests(module: ast.Module, place: str) -> Iterator[tuple[str, str]]:
    """Give number and test for each marker of a module: on tests, on classes, in parameters, in ``pytestmark``."""
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)]
    tests = [node for node in functions if node.name.startswith("test")]
    seen: set[ast.Call] = set()
    for holder, covered in _holders(module, tests):
        for marker in _markers(holder):
            seen.add(marker)
            yield from ((number, test.name) for number in _numbers(marker, place) for test in covered)
    if stray := [marker for marker in _markers(module) if marker not in seen]:
        raise MarkerError(
            f"{place}:{stray[0].lineno}: this marker belongs to no test. Remedy: put it on a test, or into its parameters"
        )


def _holders(module: ast.Module, tests: list[ast.FunctionDef]) -> Iterator[tuple[ast.AST, list[ast.FunctionDef]]]:
    """Give each place that may hold markers, with the tests that it is about."""
    for test in tests:
        yield from ((decorator, [test]) for decorator in test.decorator_list)
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef):
            inside = [test for test in tests if test in node.body]
            yield from ((decorator, inside) for decorator in node.decorator_list)
    for statement in module.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            users = [test for test in tests if name in _names(test.decorator_list)]
            yield statement.value, tests if name == "pytestmark" else users


def _names(decorators: list[ast.expr]) -> set[str]:
    return {node.id for each in decorators for node in ast.walk(each) if isinstance(node, ast.Name)}


def _markers(node: ast.AST) -> list[ast.Call]:
    """Return the calls ``pytest.mark.scenario(…)`` below a node."""
    calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
    return [call for call in calls if ast.unparse(call.func).endswith("mark.scenario")]


def _numbers(marker: ast.Call, place: str) -> list[str]:
    numbers = [str(each.value) if isinstance(each, ast.Constant) else "" for each in marker.args]
    if marker.keywords or not numbers or any(number not in SCENARIOS for number in numbers):
        raise MarkerError(
            f'{place}:{marker.lineno}: {ast.unparse(marker)} names no known scenario. Remedy: write numbers as text, "F1" to "F42"'
        )
    return numbers


def page(covered: Mapping[str, list[tuple[str, str]]]) -> str:
    """Return the text of docs/failures.md.

    :param covered: what :func:`covering_tests` returned.
    """
    missing = [
        number for number in SCENARIOS if all(place.startswith(_LAB_TESTS) for place, _ in covered.get(number, []))
    ]
    summary = f"{len(SCENARIOS) - len(missing)} of {len(SCENARIOS)} have tests."
    if missing:
        summary += f" Not yet: {', '.join(missing)}."
    sections = [_section(number, scenario, covered.get(number, [])) for number, scenario in SCENARIOS.items()]
    return "\n".join([_OPENING, summary, *sections])


def _section(number: str, scenario: Scenario, tests: list[tuple[str, str]]) -> str:
    ours = [test for test in tests if not test[0].startswith(_LAB_TESTS)]
    lab = [test for test in tests if test[0].startswith(_LAB_TESTS)]
    lines = _lines(ours) or ["Not yet."]
    if lab:
        lines += ["", "The local AWS:", "", *_lines(lab)]
    return "\n".join([f"\n## {number}. {scenario.happens}\n", f"{scenario.must}\n", *lines])


def _lines(tests: list[tuple[str, str]]) -> list[str]:
    by_file: dict[str, list[str]] = {}
    for place, test in tests:
        by_file.setdefault(place, []).append(test)
    return [f"- [{place}](../{place}): {', '.join(f'`{name}`' for name in names)}" for place, names in by_file.items()]


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or with ``--check`` say whether it is what would be written."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is old")
    options = parser.parse_args(arguments)
    try:
        text = page(covering_tests(TESTS)) + "\n"
    except MarkerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.check:
        if PAGE.exists() and PAGE.read_text() == text:
            return 0
        print(f"error: {PAGE.relative_to(ROOT)}: it is older than the tests. Remedy: make scenarios", file=sys.stderr)
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
