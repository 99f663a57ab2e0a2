"""The rules of exports, windows, chains, ledgers and schemas as pure Python.

Nothing here imports Airflow, boto3 or pyarrow, reads a clock or touches a file: values in, values out. Every decision that
the rest of the package takes is a function of this package, so that it can be tested in microseconds.
"""
