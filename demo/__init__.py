"""The demo: real flights through DynamoDB, its exports, a real Airflow, Parquet, Glue and Athena, on this machine.

``make demo`` runs it. It starts the lab (:mod:`local_aws`) and the processes of an Airflow, lays down days of flights as they happened,
lets Airflow make the base and catch up, and then holds what Athena answers against what DynamoDB says. ``docs/demo.md`` explains
what it shows and what it leaves behind.
"""
