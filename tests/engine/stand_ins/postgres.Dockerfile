# Stands for postgres:17-bookworm: Debian's PostgreSQL 17, with the user, folders, locale and settings of that image.
FROM ddb-export-stand-in:trixie
RUN groupadd --system --gid 999 postgres \
    && useradd --system --gid postgres --uid 999 --home-dir /var/lib/postgresql --shell /bin/bash postgres \
    && install --directory --owner postgres --group postgres --mode 1777 /var/lib/postgresql
RUN apt-get update && apt-get install --yes --no-install-recommends locales postgresql-common \
    && sed --in-place 's/#create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf \
    && apt-get install --yes --no-install-recommends postgresql-17 && rm --recursive /var/lib/apt/lists/* \
    && echo 'en_US.UTF-8 UTF-8' >> /etc/locale.gen && locale-gen
RUN sed --in-place --regexp-extended "s/^#?listen_addresses .*/listen_addresses = '*'/" /usr/share/postgresql/17/postgresql.conf.sample \
    && install --directory --owner postgres --group postgres --mode 3777 /var/run/postgresql \
    && install --directory --owner postgres --group postgres --mode 1777 /var/lib/postgresql/data && mkdir /docker-entrypoint-initdb.d
ENV LANG=en_US.utf8 PG_MAJOR=17 PATH=$PATH:/usr/lib/postgresql/17/bin PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
ARG ENTRY_POINT
COPY entry-points/postgres /usr/local/bin/docker-entrypoint.sh
RUN chmod 755 /usr/local/bin/docker-entrypoint.sh
ENTRYPOINT ["docker-entrypoint.sh"]
STOPSIGNAL SIGINT
CMD ["postgres"]
LABEL ddb_export.stand-in="Debian trixie's PostgreSQL 17, entry point ${ENTRY_POINT}"
