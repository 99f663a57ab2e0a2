"""The steps of the work, each a function that a task of a DAG, a command, or a test can call: no Airflow here.

Gateways and stores are passed in. Every step can be run again and ends the same; what passes between two steps is small and
can be written as JSON.
"""
