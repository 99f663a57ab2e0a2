"""``python3 -m local_aws``: make the lab's environment if need be, then become the server in it."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from local_aws import environment, options


def main(arguments: list[str]) -> NoReturn:
    """Check the arguments, make the environment and replace this process by the server; exits 2 if that fails."""
    options.parse(arguments)
    try:
        python = environment.ensure()
    except environment.LabEnvironmentError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    # The server must see neither the caller's packages nor the caller's AWS settings.
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AWS_", "PYTHON")) and key != "VIRTUAL_ENV"
    }
    kept["PYTHONPATH"] = str(environment.PACKAGE.parent)
    os.execve(  # noqa: S606 - no shell is wanted
        python, [str(python), "-P", "-m", "local_aws.server", *arguments], kept
    )


if __name__ == "__main__":
    main(sys.argv[1:])
