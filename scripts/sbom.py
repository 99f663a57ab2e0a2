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
    command += ["--mc-type", "library", "--output-reproducible", "--output-format", "JSON", "--validate"]
    run([*command, "--output-file", str(file), str(environment.python)], "look at what cyclonedx-py names")
    name_the_wheel(file, wheel)
    return file


def name_the_wheel(file: Path, wheel: Path) -> None:
    """Complete what the document is about: cyclonedx-py reads pyproject.toml, which has no version, and optional groups too."""
    document = json.loads(file.read_text())
    about = document["metadata"]["component"]
    about["version"] = wheel.name.split("-")[1]
    about["purl"] = f"pkg:pypi/{about['name']}@{about['version']}"
    about["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]
    required = {re.split(r"[\[>]", requirement)[0].lower() for requirement in project_table()["dependencies"]}
    for part in document["dependencies"]:
        if part["ref"] == about["bom-ref"]:
            part["dependsOn"] = [ref for ref in part["dependsOn"] if ref.split("==")[0].lower() in required]
    file.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
