"""The example DAG of the documentation is a DAG."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"


def test_example_of_the_operators_page_makes_its_tasks():
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(example, str(PAGE), "exec"), names)
    dag = names["export"].dag
    assert sorted(dag.task_ids) == ["export", "verify_export"]
    assert dag.get_task("verify_export").upstream_task_ids == {"export"}
