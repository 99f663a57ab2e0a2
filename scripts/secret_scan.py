"""Look for keys and passwords in all that git would commit, and compare with the findings that a person has judged.

``make secrets`` calls it; detect-secrets does the looking. Judged findings are in ``.secrets.baseline``, in detect-secrets'
own form: hashes, never the text. Lines may move without being judged again; another text, kind or file may not.

Each call plants a key in a folder of its own first: a scan that would find nothing anywhere must not pass.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from detect_secrets.core import baseline
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import default_settings, get_filters

ROOT = Path(__file__).resolve().parent.parent
BASELINE = ROOT / ".secrets.baseline"
PICTURES = (".png", ".jpg")
PUBLIC = "^lab$"
"""The password of every account of the local AWS, which tests need in many places."""
PLANTED = "AKIA" + "QYRTW3X7ZPLK5V2M"
"""A key of AWS's form that nobody has, in two parts so that it is not found here."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 if there is a finding that nobody has judged."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--write", action="store_true", help="judge all findings as harmless, once you have looked at them"
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
    if options.write:
        BASELINE.write_text(json.dumps(without_what_changes(document), indent=2) + "\n")
        print(f"{BASELINE.name}: {len(findings(document))} findings, judged as harmless")
        return 0
    judged = {finding for finding, _ in findings(json.loads(BASELINE.read_text()))}
    new = [(finding, line) for finding, line in findings(document) if finding not in judged]
    for (name, kind, _), line in new:
        print(
            f"{name}:{line}: looks like a secret ({kind}). Remedy: take it out, and revoke it if it is one; "
            "if it is none: make secrets ARGS=--write",
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


def findings(document: dict[str, object]) -> list[tuple[tuple[str, str, str], int]]:
    """List the findings of a baseline: file, kind and hash, which tell a finding, and the line, which may change."""
    results: dict[str, list[dict[str, object]]] = document["results"]  # type: ignore[assignment]
    return [
        ((name, str(finding["type"]), str(finding["hashed_secret"])), int(str(finding.get("line_number", 0))))
        for name, of_file in results.items()
        for finding in of_file
    ]


def without_what_changes(document: dict[str, object]) -> dict[str, object]:
    """Leave out the time and the lines, which would make every change touch the file, and say that a person has judged."""
    results: dict[str, list[dict[str, object]]] = document["results"]  # type: ignore[assignment]
    for of_file in results.values():
        for finding in of_file:
            finding.pop("line_number", None)
            finding["is_secret"] = False
    return {key: value for key, value in document.items() if key != "generated_at"}


if __name__ == "__main__":
    sys.exit(main())
