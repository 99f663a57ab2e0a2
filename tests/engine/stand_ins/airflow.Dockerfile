# Stands for apache/airflow:3.3.2-python3.12: its user, folders, variables and programs as its Dockerfile makes them, from PyPI's packages.
ARG PYTHON
FROM ${PYTHON}
RUN apt-get update && apt-get install --yes --no-install-recommends curl dumb-init netcat-openbsd \
    && rm --recursive /var/lib/apt/lists/*
ENV AIRFLOW_HOME=/opt/airflow AIRFLOW_USER_HOME_DIR=/home/airflow VIRTUAL_ENV=/home/airflow/.local DUMB_INIT_SETSID=1 \
    PATH=/home/airflow/.local/bin:$PATH LANG=C.UTF-8
RUN useradd --create-home --uid 50000 --gid 0 airflow && mkdir --parents /opt/airflow/dags /opt/airflow/logs \
    && chown --recursive airflow:0 /home/airflow /opt/airflow && chmod --recursive g+rwX /home/airflow /opt/airflow && chmod g=u /etc/passwd
COPY constraints.txt /tmp/constraints.txt
ARG PACKAGES
RUN su airflow --command "python -m venv /home/airflow/.local \
    && /home/airflow/.local/bin/pip install --no-cache-dir --constraint /tmp/constraints.txt ${PACKAGES} \
    && chmod --recursive g+rwX /home/airflow/.local"
ARG ENTRY_POINT
COPY entry-points/airflow /entrypoint
RUN chmod 755 /entrypoint
# The lab's tables are fetched by who runs in it.
ENV PIP_CERT=/etc/ssl/machine.crt
WORKDIR /opt/airflow
USER 50000
ENTRYPOINT ["/usr/bin/dumb-init", "--", "/entrypoint"]
LABEL ddb_export.stand-in="Debian bookworm, PyPI's packages, entry point ${ENTRY_POINT}"
