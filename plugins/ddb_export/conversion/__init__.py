"""Exact conversion between DynamoDB JSON and Parquet; the only home of pyarrow and of the fast parsers.

It takes binary streams and local paths: where they come from is the concern of gateways. Import its modules
lazily (inside functions) outside of this package, because pyarrow is slow to load.

:mod:`.data_file`    compressed streams → blocks of whole lines, and the digest for verification
:mod:`.record`       one line → a valid record, or the reason why it is none (the exact path)
:mod:`.cells`        tagged values → column values, and back (the exact path)
:mod:`.batch`        records → Arrow record batches (the exact path)
:mod:`.typed_lines`  lines → typed structs by learned shapes (the fast path)
:mod:`.checked`      typed structs → checked payloads by attribute and type tag
:mod:`.payloads`     checks and Arrow arrays of many payloads at a time
:mod:`.fast_batch`   checked payloads → Arrow record batches
:mod:`.scan`         data file → statistics, from which the schema follows
:mod:`.parquet`      data file + schema → one Parquet file
:mod:`.quarantine`   lines that are no valid record
:mod:`.inverse`      Parquet file → items
"""
