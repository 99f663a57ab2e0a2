#!/usr/bin/env bash
# Write constraints/constraints-3.X.txt anew: the newest versions that agree, one file per Python minor, with uv.
# The files are for Linux; they pin what is installed elsewhere too, and leave free what only another system needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v uv >/dev/null || { echo "error: uv is not on PATH. Remedy: pip install uv" >&2; exit 1; }
for minor in 3.11 3.12 3.13; do
    file="constraints/constraints-$minor.txt"
    printf '# Written by `make constraints` for Python %s; do not edit.\n' "$minor" >"$file.new"
    uv pip compile pyproject.toml --extra dev --extra docs --extra checks --python-version "$minor" --python-platform linux \
        --strip-extras --no-annotate --no-header --quiet "$@" >>"$file.new"
    mv "$file.new" "$file"
    echo "$file: $(grep -c == "$file") versions"
done
