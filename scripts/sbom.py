"""Write the software bill of materials: what a user gets with the provider's wheel at the versions of ``constraints/``.

``make sbom`` calls it. An environment with the wheel and its requirements alone, no tool of developers, is made in
``build/sbom`` and read by cyclonedx-py, which knows names, versions, licenses and who requires whom. Times and random
numbers are left out, so that the same environment gives the same file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

from scripts.environment import (
    BUILD,
    ROOT,
    Environment,
    StepError,
    create,
    install_libraries,
    project_table,
    run,
    usable_uv,
)
from scripts.packages import PACKAGES


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 0, or 1 after a one-line error on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="the provider's wheel (default: the one in build/packages)")
    options = parser.parse_args(arguments)
    try:
        wheel = options.wheel or built_wheel()
        file = write(wheel, PACKAGES / f"sbom-python{sys.version_info.major}.{sys.version_info.minor}.cdx.json")
    except StepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    document = json.loads(file.read_text())
    unnamed = [part["name"] for part in document["components"] if not part.get("licenses")]
    print(f"{file}: CycloneDX {document['specVersion']}, {len(document['components'])} components")
    print(f"without a license in their metadata: {', '.join(unnamed) or 'none'}")
    return 0


def built_wheel() -> Path:
    """Find the wheel that ``make packages`` built.

    :raises StepError: there is none.
    """
    wheels = sorted(PACKAGES.glob("*.whl"))
    if not wheels:
        raise StepError(f"{PACKAGES}: holds no wheel. Remedy: make packages")
    return wheels[-1]


def write(wheel: Path, file: Path) -> Path:
    """Make the environment of a user, and write what it holds to a file; return its path.

    :raises StepError: a step failed.
    """
    folder = BUILD / "sbom"
    shutil.rmtree(folder, ignore_errors=True)
    environment = Environment(folder, usable_uv())
    create(environment)
    install_libraries(environment, "dependencies")
    environment.install("--no-deps", str(wheel))
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [
        str(Path(sys.executable).parent / "cyclonedx-py"),
        "environment",
        "--pyproject",
        str(ROOT / "pyproject.toml"),
    ]
    command += ["--mc-type", "library", "--output-reproducible", "--output-format", "JSON"]
    run([*command, "--output-file", str(file), str(environment.python)], "look at what cyclonedx-py names")
    name_the_wheel(file, wheel)
    validate(file)
    return file


def validate(file: Path) -> None:
    """Check a document by CycloneDX's schema, as it stands after all that was written into it.

    :raises StepError: it does not fit.
    """
    # The tests of what is written run where the tools of the checks are not installed.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = file.read_text()
    problem = JsonStrictValidator(SchemaVersion.from_version(json.loads(text)["specVersion"])).validate_str(text)
    if problem:
        said = str(problem.data.message) if hasattr(problem.data, "message") else str(problem)
        raise StepError(
            f"{file}: does not fit CycloneDX's schema: {said.splitlines()[0]}. Remedy: correct scripts/sbom.py"
        )


def name_the_wheel(file: Path, wheel: Path) -> None:
    """Complete what the document is about: cyclonedx-py reads pyproject.toml, which has no version, and optional groups too.

    :raises StepError: what the provider requires is not all named in the document.
    """
    document = json.loads(file.read_text())
    about = document["metadata"]["component"]
    about["version"] = wheel.name.split("-")[1]
    about["purl"] = f"pkg:pypi/{about['name']}@{about['version']}"
    about["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]
    required = {normal(re.split(r"[^\w.-]", requirement)[0]) for requirement in project_table()["dependencies"]}
    (ours,) = [part for part in document["dependencies"] if part["ref"] == about["bom-ref"]]
    ours["dependsOn"] = [ref for ref in ours["dependsOn"] if normal(ref.split("==")[0]) in required]
    missing = required - {normal(ref.split("==")[0]) for ref in ours["dependsOn"]}
    if missing:
        raise StepError(
            f"{file}: {', '.join(sorted(missing))} not among what {about['name']} requires. Remedy: look at what cyclonedx-py wrote"
        )
    file.write_text(json.dumps(document, indent=2) + "\n")


def normal(name: str) -> str:
    """Write a distribution's name as all its spellings are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
