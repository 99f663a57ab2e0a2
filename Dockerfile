# Images of docker-compose.yaml: Airflow with the wheel of ddb_export (the default target), and the local AWS (target lab).
ARG AIRFLOW_VERSION=3.3.2

FROM python:3.12-slim-bookworm AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY plugins plugins
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim-bookworm AS lab
RUN useradd --create-home --uid 50000 --gid 0 lab
USER lab
WORKDIR /home/lab
COPY --chown=lab:0 local_aws local_aws
# Its environment is made now, not at the first start.
RUN python -c "from local_aws import environment; environment.ensure()"

FROM apache/airflow:${AIRFLOW_VERSION}-python3.12 AS airflow
ARG AIRFLOW_VERSION
COPY --from=wheel /wheels /wheels
COPY constraints/constraints-3.12.txt /wheels/constraints.txt
# Airflow itself stays what the image has: the constraint pins the same version. Any AIRFLOW_UID may write the lab's bundle: the group is 0.
RUN pip install --no-cache-dir --constraint /wheels/constraints.txt "apache-airflow==${AIRFLOW_VERSION}" /wheels/*.whl \
    && mkdir -p /opt/airflow/lab-bundle /opt/airflow/bundle \
    && chmod g+rwX /opt/airflow/lab-bundle
