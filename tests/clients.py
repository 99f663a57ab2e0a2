"""Boto3 clients that cost tests less: what was read from a disk once, and who is named in a User-Agent.

A task makes its clients anew, as in production. In one test process that is thousands of times, and took a third of all time: botocore reads
its service models for each session, and the amazon provider walks pytest's deep stack to name the operator in the User-Agent.
"""

from __future__ import annotations

from functools import cache

import pytest
from botocore.loaders import JSONFileLoader


def keep_service_models(patch: pytest.MonkeyPatch) -> None:
    """Let botocore read each service model once per process, instead of once per session."""
    load_file = JSONFileLoader.load_file
    loader = JSONFileLoader()

    @cache
    def loaded(file_path: str) -> object:
        return load_file(loader, file_path)

    patch.setattr(JSONFileLoader, "load_file", lambda _self, file_path: loaded(file_path))


def name_no_caller(patch: pytest.MonkeyPatch) -> None:
    """Let the amazon provider's User-Agents name no operator, instead of looking for one in pytest's deep stack."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    patch.setattr(AwsGenericHook, "_get_caller", lambda _self, _target_function_name="execute": "Unknown")
