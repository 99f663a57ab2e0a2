"""What a task remembers is kept under keys that every supported Airflow can keep."""

from __future__ import annotations

import pytest

from ddb_export.operators.state import remember


@pytest.mark.parametrize("key", ["export_arn/full-20260301T1200Z-a1", "a b", ""])
def test_a_key_that_airflow_3_3_0_cannot_keep_is_refused_before_airflow_is_asked(key: str):
    with pytest.raises(ValueError, match=r"Airflow 3\.3\.0 cannot keep it\. Remedy: "):
        remember({}, key, 1)
