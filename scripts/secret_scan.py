"""Look for keys and passwords in all that git would commit, and compare with the findings that a person has judged.

``make secrets`` calls it; detect-secrets does the looking. Judged findings are in ``.secrets.baseline``, in detect-secrets'
own form: hashes, never the text. Lines may move without being judged again; another text, kind or file may not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from detect_secrets.core import baseline
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import default_settings, get_filters

ROOT = Path(__file__).resolve().parent.parent
BASELINE = ROOT / ".secrets.baseline"
PICTURES = (".png", ".jpg")
PUBLIC = "^lab$"
"""The password of every account of the local AWS, which tests need in many places."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 if there is a finding that nobody has judged."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--write", action="store_true", help="judge all findings as harmless, once you have looked at them"
    )
    options = parser.parse_args(arguments)
    names = committed_files()
    with default_settings() as settings:
        settings.filters["detect_secrets.filters.regex.should_exclude_secret"] = {"pattern": [PUBLIC]}
        get_filters.cache_clear()
        found = SecretsCollection(root=str(ROOT))
        found.scan_files(*names)
        document = baseline.format_for_output(found)
    if options.write:
        BASELINE.write_text(json.dumps(without_what_changes(document), indent=2) + "\n")
        print(f"{BASELINE.name}: {sum(map(len, document['results'].values()))} findings, judged as harmless")
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


def committed_files() -> list[str]:
    """List what git has or would add, pictures and the baseline aside."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in names if not name.endswith(PICTURES) and name != BASELINE.name and (ROOT / name).is_file()]


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
