"""Exact conversion between DynamoDB JSON and Parquet; the only home of pyarrow and of the fast parsers.

It takes binary streams and local paths: where they come from is the concern of gateways. Import its modules
lazily (inside functions) outside of this package, because pyarrow is slow to load.

:mod:`.data_file`   compressed streams → blocks of whole lines, and the digest for verification
:mod:`.record`      one line → a valid record, or the reason why it is none (the exact path)
:mod:`.scan`        data file → statistics, from which the schema follows
:mod:`.cells`       tagged values → column values, and back
:mod:`.parquet`     data file + schema → one Parquet file
:mod:`.inverse`     Parquet file → items
"""
