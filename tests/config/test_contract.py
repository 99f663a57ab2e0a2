"""The contract block: what it takes, and the one line that says where and why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ddb_export.config.json_schema import export_json_schema
from ddb_export.config.loader import load_tables
from ddb_export.config.model import TableConfiguration
from ddb_export.config.problems import InvalidFileError
from ddb_export.domain.contract import NO_CONTRACT, ColumnRule, Contract, OnViolation
from ddb_export.domain.entities import Entities, EntityMatch

TABLE = """table: Orders
bucket: my-lake
prefix: dynamodb
database: lake
schedule: '@daily'
start_date: 2026-01-31
contract:
"""
REQUIRED: dict[str, Any] = {
    "table": "Orders",
    "bucket": "my-lake",
    "prefix": "",
    "database": "lake",
    "schedule": None,
    "start_date": "2026-01-31",
}
ENTITIES = "  entities: {attribute: pk, "
FULL = (
    TABLE
    + """  hash_conn_id: pii_key
  column_limit: 200
  on_violation: quarantine
  quarantine_limit: 0.1%
  columns:
    price: {type: "DECIMAL(38, 2)"}
    created: {type: timestamp, unit: ms, name: created_at}
    address: {type: "struct<zipCode:string,`first line`:string,geo:struct<lat:decimal(38,6)>,tags:array<string>>"}
    email: {hash: true}
    secret.note: {drop: true}
"""
)


def contract_of(folder: Path, text: str) -> Contract:
    (folder / "orders.yaml").write_text(text)
    (table,) = load_tables(folder)
    return table.contract.contract


def test_a_full_contract(tmp_path: Path) -> None:
    contract = contract_of(tmp_path, FULL)
    assert contract == Contract(
        (
            ColumnRule(
                "address",
                "struct<zipCode:string,`first line`:string,geo:struct<lat:decimal(38,6)>,tags:array<string>>",
            ),
            ColumnRule("created", "timestamp", "ms", "created_at"),
            ColumnRule("email", hash=True),
            ColumnRule("price", "decimal(38,2)"),
            ColumnRule("secret.note", drop=True),
        ),
        200,
        OnViolation.QUARANTINE,
        "0.1%",
        "pii_key",
    )
    assert Contract.from_json(contract.to_json()) == contract
    assert contract.dropped == {"secret.note"}
    assert contract.hashed == {"email"}


def test_entities_have_views_whose_names_no_other_table_may_have(tmp_path: Path) -> None:
    block = ENTITIES + "tables: {order: 'ORDER#*', customer: {equals: CUSTOMER}}}\nviews: true\n"
    contract = contract_of(tmp_path, TABLE + block)
    assert contract.entities == Entities(
        "pk", (EntityMatch("customer", "CUSTOMER"), EntityMatch("order", "ORDER#*", is_pattern=True))
    )
    assert Contract.from_json(contract.to_json()) == contract
    (tmp_path / "other.yaml").write_text(
        (TABLE + block).replace("Orders", "Orders_order").replace("contract:\n" + block, "")
    )
    with pytest.raises(InvalidFileError, match="would share the Glue table 'orders_order"):
        load_tables(tmp_path)


def test_no_contract_is_none(tmp_path: Path) -> None:
    assert contract_of(tmp_path, TABLE.replace("contract:\n", "")) == NO_CONTRACT
    assert contract_of(tmp_path, TABLE.replace("contract:\n", "contract: {}\n")) == NO_CONTRACT
    assert NO_CONTRACT.to_json() == {}
    assert NO_CONTRACT.version == ""


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("  colums: {}\n", "8:3: unknown key 'contract.colums'. Remedy: write 'columns'"),
        (
            "  columns:\n    price: {tipe: bigint}\n",
            "9:13: unknown key 'contract.columns.price.tipe'. Remedy: write 'type'",
        ),
        (
            "  columns:\n    price: {type: double}\n",
            (
                "9:19: contract.columns.price.type 'double' is not a type that a column can have. Remedy: write decimal(38,S), S being its"
                " fraction digits"
            ),
        ),
        (
            "  columns:\n    price: {type: bigit}\n",
            (
                "9:19: contract.columns.price.type 'bigit' is not a type that a column can have. Remedy: write string, bigint,"
                " decimal(P,S), boolean, binary, timestamp, array<type> or struct<name:type,…>"
            ),
        ),
        (
            "  columns:\n    at: {type: timestamp}\n",
            "9:16: contract.columns.at.type 'timestamp' needs the unit of the epoch numbers. Remedy: add unit: s, ms or us beside it",
        ),
        (
            "  columns:\n    at: {type: bigint, unit: s}\n",
            (
                "9:30: contract.columns.at.unit 's' is given, but the type has no timestamp. Remedy: write type: timestamp, or leave out the"
                " key 'unit'"
            ),
        ),
        (
            "  columns:\n    at: {name: dt}\n",
            "9:16: contract.columns.at.name 'dt' is the name of a column that every table has. Remedy: write another name",
        ),
        (
            "  columns:\n    a: {name: x}\n    b: {name: x}\n",
            "9:5: contract.columns gives 'a' and 'b' the same name 'x'. Remedy: rename one of them",
        ),
        (
            "  columns:\n    email: {hash: true}\n",
            (
                "8:3: contract.hash_conn_id null names no connection, and the values of 'email' are to be hashed. Remedy: add hash_conn_id: the Airflow"
                " connection whose password is the key"
            ),
        ),
        (
            "  columns:\n    x: {drop: true, name: y}\n",
            (
                "9:15: contract.columns.x.drop true leaves no column that the other keys could be about. Remedy: leave out the other"
                " keys, or drop"
            ),
        ),
        (
            "  quarantine_limit: 101%\n",
            (
                "8:21: contract.quarantine_limit '101%' is neither a number of lines nor a percentage. Remedy: write a number of lines such as"
                " 100, a percentage in quotes such as '0.1%', or null for no limit"
            ),
        ),
        (
            "  on_violation: quarantin\n",
            "8:17: contract.on_violation 'quarantin' is not accepted. Remedy: write quarantine",
        ),
        (ENTITIES + "tables: {Order: x}}\n", "?names the entity 'Order'"),
        (
            ENTITIES + "tables: {a: {equal: x}}}\n",
            "?does not say what tells 'a'. Remedy: write a pattern such as 'ORDER#*'",
        ),
        (ENTITIES + "tables: {}}\n", "?contract.entities.tables names no entity. Remedy: write a mapping of entities"),
        (
            ENTITIES + "tables: {a: x, a_changes: y}}\n",
            "?gives two views the name 'a_changes'. Remedy: rename an entity",
        ),
        (
            ENTITIES + "tables: {raw: x}}\nviews: true\n",
            "?a view would be called orders_raw_changes, as one of the lake's own",
        ),
        (
            ENTITIES + "tables: {a: x}}\n",
            "?contract declares entities, which are shown by views. Remedy: add views: true",
        ),
        (
            ENTITIES + "tables: {a: x}}\nviews: true\noutputs: [changes]\n",
            (
                "?contract declares entities, whose latest state is made of snapshots and changes, and outputs has no snapshots."
                " Remedy: write outputs: [snapshots, changes], or leave out the entities"
            ),
        ),
        (
            ENTITIES + "tables: {a: x}}\n  columns: {pk: {type: bigint}}\n",
            (
                "?contract.entities is told by the text of 'pk', whose column is declared bigint. Remedy: leave out the type of 'pk',"
                " or tell them by another attribute"
            ),
        ),
        (
            ENTITIES + "tables: {a: x}}\n  columns: {pk: {drop: true}}\n",
            "?contract.entities is told by 'pk', which is dropped. Remedy: tell them by another attribute",
        ),
    ],
)
def test_each_mistake_is_one_line_with_its_place(tmp_path: Path, block: str, message: str) -> None:
    file = tmp_path / "orders.yaml"
    file.write_text(TABLE + block)
    with pytest.raises(InvalidFileError) as caught:
        load_tables(tmp_path)
    if message.startswith("?"):
        assert message[1:] in str(caught.value)
    else:
        assert str(caught.value) == f"{file}:{message}"


def test_editors_know_the_contract() -> None:
    validator = Draft202012Validator(export_json_schema())
    good: list[Any] = [
        {},
        {"columns": {"a.b": {"type": "bigint"}}},
        {"quarantine_limit": 5},
        {"quarantine_limit": "0.1%"},
        {"entities": {"attribute": "pk", "tables": {"order": "ORDER#*", "customer": {"equals": "CUSTOMER"}}}},
    ]
    bad: list[Any] = [
        {"colums": {}},
        {"columns": {"a": {"tipe": "bigint"}}},
        {"quarantine_limit": "x"},
        {"column_limit": 0},
        {"entities": {"attribute": "pk", "tables": {"Order": "x"}}},
    ]
    for contract in good:
        assert validator.is_valid({**REQUIRED, "contract": contract}), contract
    for contract in bad:
        assert not validator.is_valid({**REQUIRED, "contract": contract}), contract


def test_a_contract_survives_writing_as_json_and_reading(tmp_path: Path) -> None:
    (tmp_path / "orders.yaml").write_text(FULL)
    (table,) = load_tables(tmp_path)
    assert TableConfiguration.declare(**table.model_dump(mode="json")) == table
