"""What readers that no one here wrote see of the lake: DuckDB, pyarrow.dataset, and, slowly, Spark and Trino."""
