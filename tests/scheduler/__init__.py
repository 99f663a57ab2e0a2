"""A real Airflow on PostgreSQL: scheduler, triggerer, DAG processor and API server as processes, driven by REST as a person would."""
