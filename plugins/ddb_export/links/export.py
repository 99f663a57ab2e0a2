"""The link to an export's page in the AWS console.

Airflow evaluates a link when the task ends; an export that is waited for would have none for hours. So the operators push what the link needs
before they defer.
"""

from __future__ import annotations

from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink


class DynamoDBExportLink(BaseAwsLink):
    """Opens the exports of the table in the DynamoDB console."""

    name = "DynamoDB export"
    key = "dynamodb_export"
    format_str = (
        BASE_AWS_CONSOLE_LINK
        + "/dynamodbv2/home?region={region_name}#table?name={table_name}&tab=exports-and-streams&export={export_id}"
    )
