"""The provider metadata that Airflow reads through the entry point ``apache_airflow_provider``.

Airflow checks it against ``airflow/provider_info.schema.json``. Modules are listed by hand, as every provider does,
because finding them would import them; a test compares the lists with the files of the package.
"""

from __future__ import annotations

from typing import Any

_INTEGRATION = "Amazon DynamoDB exports"


def get_provider_info() -> dict[str, Any]:
    """Describe this provider to Airflow.

    :return: a dictionary that is valid by Airflow 3.3's provider schema; it imports nothing.
    """
    return {
        "package-name": "airflow-provider-ddb-export",
        "name": "DynamoDB Export",
        "description": "Keeps an S3 lake in step with DynamoDB tables through DynamoDB's own exports.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": (
                    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.HowItWorks.html"
                ),
                "tags": ["aws"],
            }
        ],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "ddb_export.operators.announce",
                    "ddb_export.operators.athena",
                    "ddb_export.operators.base",
                    "ddb_export.operators.check",
                    "ddb_export.operators.contracted",
                    "ddb_export.operators.convert",
                    "ddb_export.operators.export",
                    "ddb_export.operators.freshness",
                    "ddb_export.operators.hand_over",
                    "ddb_export.operators.plan",
                    "ddb_export.operators.preflight",
                    "ddb_export.operators.publish",
                    "ddb_export.operators.raw_tables",
                    "ddb_export.operators.verify",
                    "ddb_export.operators.views",
                    "ddb_export.operators.compact",
                    "ddb_export.operators.widen",
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "ddb_export.sensors.export",
                ],
            }
        ],
        "hooks": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "ddb_export.hooks.assumed_role",
                    "ddb_export.hooks.athena",
                    "ddb_export.hooks.lake",
                ],
            }
        ],
        "triggers": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "ddb_export.triggers.export",
                ],
            }
        ],
        "extra-links": ["ddb_export.links.export.DynamoDBExportLink"],
        "notifications": [],
    }
