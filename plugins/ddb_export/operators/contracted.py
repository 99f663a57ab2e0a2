"""What operators have in common whose work the table's contract decides: the contract, and the key of its hashes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from ddb_export.config.contract import ContractConfiguration
from ddb_export.domain.contract import Contract
from ddb_export.exceptions import ConfigurationError
from ddb_export.operators.base import LakeOperator
from ddb_export.pipeline.tasks import TableWork


class ContractedOperator(LakeOperator):
    """Base of the operators that make or show typed files.

    :param contract: what is fixed about the columns, in the form of the configuration's key ``contract``; None for nothing.
        The key of its hashes is no part of it: it is read from the Airflow connection that it names, when it is needed.
    """

    def __init__(self, *, contract: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.contract = dict(contract or {})

    @cached_property
    def work(self) -> TableWork:
        """The steps of the table's exports.

        :raises ConfigurationError: the contract cannot be used, or its connection does not exist.
        """
        return TableWork(self.ledger, self.store, self._contract_with_key())

    def _contract_with_key(self) -> Contract:
        contract = ContractConfiguration.declare(self.contract).contract
        if not contract.hashed or contract.hash_conn_id is None:
            return contract
        try:
            key = BaseHook.get_connection(contract.hash_conn_id).password
        except AirflowNotFoundException:
            raise ConfigurationError(
                f"Airflow connection {contract.hash_conn_id}",
                "it does not exist, and contract.hash_conn_id names it",
                "add a connection of type generic under this id, with the key of the hashes as its password",
            ) from None
        return contract.with_key(key)
