"""What users declare: the typed model of a table, and the YAML files that hold it.

* :mod:`ddb_export.config.model`: :class:`TableConfiguration`, every key with its default and its limits.
* :mod:`ddb_export.config.loader`: :func:`load_tables`, a folder of YAML files in, tables or errors out.
* :mod:`ddb_export.config.json_schema`: the JSON schema that editors complete and check the files with.

It reads files and checks words; it never talks to AWS, and knows nothing of Airflow.
"""
