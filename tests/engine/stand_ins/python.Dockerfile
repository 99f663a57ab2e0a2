# Stands for python:3.12-slim-bookworm: Debian with a Python 3.12 of this machine, which the build's context has below `python`.
FROM ddb-export-stand-in:bookworm
RUN apt-get update && apt-get install --yes --no-install-recommends \
        libbz2-1.0 libexpat1 libffi8 liblzma5 libncursesw6 libreadline8 libsqlite3-0 libssl3 libstdc++6 libuuid1 zlib1g \
    && rm --recursive /var/lib/apt/lists/*
ARG PREFIX
COPY python ${PREFIX}
# Who is not root must reach it too.
RUN folder="${PREFIX}"; while [ "$folder" != / ]; do chmod a+rx "$folder"; folder="$(dirname "$folder")"; done \
    && ln --symbolic "${PREFIX}/bin/python3.12" /usr/local/bin/python \
    && printf '#!/bin/sh\nexec python -m pip "$@"\n' > /usr/local/bin/pip && chmod 755 /usr/local/bin/pip && pip --version
LABEL ddb_export.stand-in="Debian bookworm with Python 3.12 of the machine that made it"
