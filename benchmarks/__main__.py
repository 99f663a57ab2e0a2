"""``python -m benchmarks`` (``make bench``): conversion beside its peer in one run, and what the peer gets wrong."""

from __future__ import annotations

from benchmarks.conversion import main

WRONG = """
What boto3's TypeDeserializer, as people write it (benchmarks/peer_boto3.py), gets wrong:
  - a NULL and an attribute that is missing come out the same;
  - numbers inside lists and maps become text, as strings are;
  - a column of mixed types becomes JSON text, whatever most of its values are;
  - columns follow from one file alone, so the files of one export differ in theirs;
  - nothing is verified, a line that is no record ends it, and all rows are held in memory."""

if __name__ == "__main__":
    main()
    print(WRONG)
