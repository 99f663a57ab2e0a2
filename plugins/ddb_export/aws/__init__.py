"""The only callers of boto3: gateways to S3, DynamoDB, Glue and Athena, without Airflow.

Clients are passed in. Who makes them (a hook from an Airflow connection, the command line from a profile) decides about
credentials, region, endpoint and retries; botocore's own retries (mode ``standard``) are expected to be on.
"""
