"""Look for keys and passwords in all that git would commit, and compare with the findings that a person has judged.

``make secrets`` calls it; detect-secrets does the looking. Judged findings are in ``.secrets.baseline``, in detect-secrets'
own form: hashes, never the text. Lines may move without being judged again; another text, kind or file may not. What is judged is
judged file by file, by name: a finding that nobody has looked at does not slip in with another one.

Each call plants a key in a folder of its own first: a scan that would find nothing anywhere must not pass.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASELINE = ROOT / ".secrets.baseline"
PICTURES = (".png", ".jpg")
PUBLIC = "^lab$"
"""The password of every account of the local AWS, which tests need in many places."""
PLANTED = "AKIA" + "QYRTW3X7ZPLK5V2M"
"""A key of AWS's form that nobody has, in two parts so that it is not found here."""


Finding = tuple[str, str, str]
"""File, kind and hash, which tell one finding from another."""


class UnknownFileError(Exception):
    """A file that was named to be judged holds no new finding; the message is one line with a remedy."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 if there is a finding that nobody has judged."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--write", nargs="*", metavar="FILE", help="judge the findings of these files as harmless; forget what is gone"
    )
    options = parser.parse_args(arguments)
    if not planted_key_is_found():
        print(
            "secrets: a planted key is not found, so nothing would be. "
            "Remedy: compare scripts/secret_scan.py with the installed detect-secrets",
            file=sys.stderr,
        )
        return 1
    names = committed_files(ROOT)
    document = scan(ROOT, names)
    judged = {finding for finding, _ in findings(json.loads(BASELINE.read_text()))}
    if options.write is not None:
        try:
            accepted = newly_judged(document, judged, options.write)
        except UnknownFileError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        for (name, kind, _), line in accepted:
            print(f"{name}:{line}: judged as harmless ({kind})")
        judged = (judged | {finding for finding, _ in accepted}) & {finding for finding, _ in findings(document)}
        BASELINE.write_text(json.dumps(without_what_changes(document, judged), indent=2) + "\n")
    new = [(finding, line) for finding, line in findings(document) if finding not in judged]
    for (name, kind, _), line in new:
        print(
            f"{name}:{line}: looks like a secret ({kind}). Remedy: take it out, and revoke it if it is one; "
            f'if it is none: make secrets ARGS="--write {name}"',
            file=sys.stderr,
        )
    print(f"secrets: {len(names)} files, {len(new)} new findings, {len(judged)} judged as harmless")
    return 1 if new else 0


def planted_key_is_found() -> bool:
    """Scan a temporary git folder that has a key in one file and an innocent text in another: the first alone must be found."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
        (root / "with_key.py").write_text(f'key = "{PLANTED}"\n')
        (root / "without.py").write_text('greeting = "hello"\n')
        found = findings(scan(root, committed_files(root)))
    return {name for (name, _, _), _ in found} == {"with_key.py"}


def scan(root: Path, names: list[str]) -> dict[str, object]:
    """Look for secrets in these files below a folder; the answer has the form of a baseline."""
    # The tests of what is judged run where the tools of the checks are not installed.
    from detect_secrets.core import baseline
    from detect_secrets.core.secrets_collection import SecretsCollection
    from detect_secrets.settings import default_settings, get_filters

    with default_settings() as settings:
        settings.filters["detect_secrets.filters.regex.should_exclude_secret"] = {"pattern": [PUBLIC]}
        get_filters.cache_clear()
        found = SecretsCollection(root=str(root))
        found.scan_files(*names)
        document: dict[str, object] = baseline.format_for_output(found)
    return document


def committed_files(root: Path) -> list[str]:
    """List what git has or would add below a folder, pictures and the baseline aside."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in names if not name.endswith(PICTURES) and name != BASELINE.name and (root / name).is_file()]


def findings(document: dict[str, object]) -> list[tuple[Finding, int]]:
    """List the findings of a baseline, each with its line, which may change."""
    results: dict[str, list[dict[str, object]]] = document["results"]  # type: ignore[assignment]
    return [
        ((name, str(finding["type"]), str(finding["hashed_secret"])), int(str(finding.get("line_number", 0))))
        for name, of_file in results.items()
        for finding in of_file
    ]


def newly_judged(document: dict[str, object], judged: set[Finding], names: list[str]) -> list[tuple[Finding, int]]:
    """List what is judged as harmless by naming files.

    :param document: what a scan found. :param judged: what was judged before. :param names: of files, as ``git ls-files`` writes them.
    :return: the findings of these files that are new, each with its line.
    :raises UnknownFileError: a file has none.
    """
    new = [(finding, line) for finding, line in findings(document) if finding not in judged]
    of_file = {name for (name, _, _), _ in new}
    for name in names:
        if name not in of_file:
            raise UnknownFileError(f"{name}: holds no new finding. Remedy: write it as make secrets names it")
    return [(finding, line) for finding, line in new if finding[0] in names]


def without_what_changes(document: dict[str, object], judged: set[Finding]) -> dict[str, object]:
    """Make the baseline of a scan: what is judged and still there, without times, lines and folders of this machine.

    :param document: what a scan found. :param judged: what a person has judged as harmless.
    """
    found: dict[str, list[dict[str, object]]] = document["results"]  # type: ignore[assignment]
    results: dict[str, list[dict[str, object]]] = {}
    for name, of_file in found.items():
        for finding in of_file:
            if (name, str(finding["type"]), str(finding["hashed_secret"])) in judged:
                kept = {key: value for key, value in finding.items() if key != "line_number"}
                results.setdefault(name, []).append({**kept, "filename": name, "is_secret": False})
    rest = {key: value for key, value in document.items() if key not in ("generated_at", "results")}
    return {**rest, "results": results}


if __name__ == "__main__":
    sys.exit(main())
