"""Airflow operators: thin skins that turn a task's context into values, call the pipeline, and turn the answer into XComs."""
