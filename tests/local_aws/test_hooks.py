"""The contract with ministack: every private name that the lab uses is there and has the shape that it needs."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from local_aws import environment, hooks

PACKAGE = Path(hooks.__file__).parent


def run(code: str) -> str:
    """Run code in the lab's own environment."""
    command = [str(environment.ensure()), "-P", "-c", code]
    done = subprocess.run(command, env={"PYTHONPATH": str(PACKAGE.parent)}, capture_output=True, text=True, check=True)
    return done.stdout


def test_every_hook_is_there():
    found = json.loads(run("import json; from local_aws import hooks; print(json.dumps(hooks.problems()))"))
    assert found == []


def test_a_hook_that_changed_is_named():
    found = run(
        "from local_aws import hooks\n"
        "del hooks.dynamodb()._set_item\n"
        "hooks.s3().handle_request = lambda method: None\n"
        "print(*hooks.problems(), sep='\\n')"
    )
    assert found.splitlines() == [
        "ministack.services.dynamodb._set_item is gone: the lab needs (table, pk_val, sk_val, item)",
        "ministack.services.s3.handle_request has the shape (method): the lab needs " + shape_of_s3(),
    ]


def shape_of_s3() -> str:
    return next(hook.shape for hook in hooks.HOOKS if hook.attribute == "handle_request")


def test_the_version_is_pinned():
    assert f"ministack=={hooks.VERSION}\n" in environment.REQUIREMENTS.read_text()


@pytest.mark.parametrize("module", sorted(path.name for path in [*PACKAGE.glob("*.py"), *PACKAGE.glob("exports/*.py")]))
def test_no_module_uses_a_private_name_that_is_not_in_the_table(module):
    (path,) = [*PACKAGE.glob(module), *PACKAGE.glob(f"exports/{module}")][:1]
    text = path.read_text()
    named = {hook.attribute for hook in hooks.HOOKS}
    used = set(re.findall(r"(?:dynamodb|s3|kms|responses|router|app|iam_actions)(?:\(\))?\.(_\w+)", text))
    assert used <= named
    assert module in {"hooks.py", "server.py", "glue.py"} or "import ministack" not in text
