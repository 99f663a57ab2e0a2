# Stands for redis:7.2-bookworm: Debian's Redis, with the user and folder of that image.
FROM ddb-export-stand-in:bookworm
RUN groupadd --system --gid 999 redis && useradd --system --gid redis --uid 999 redis \
    && apt-get update && apt-get install --yes --no-install-recommends redis-server && rm --recursive /var/lib/apt/lists/*
RUN mkdir /data && chown redis:redis /data
VOLUME /data
WORKDIR /data
ARG ENTRY_POINT
COPY entry-points/redis /usr/local/bin/docker-entrypoint.sh
RUN chmod 755 /usr/local/bin/docker-entrypoint.sh
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["redis-server"]
LABEL ddb_export.stand-in="Debian bookworm's Redis 7.0, entry point ${ENTRY_POINT}"
