"""Airflow hooks: they make boto3 clients from Airflow connections and hand them to the gateways."""
