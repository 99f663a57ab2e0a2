# Images of docker-compose.yaml: Airflow with the wheel of ddb_export (the default target), and the local AWS (target lab).
ARG AIRFLOW_VERSION=3.3.2

FROM python:3.12.15-slim-bookworm AS wheel
WORKDIR /source
COPY constraints/constraints-3.12.txt constraints.txt
# Not isolated, so that the wheel is built by the hatchling that is pinned.
RUN pip install --no-cache-dir --constraint constraints.txt hatchling
COPY pyproject.toml README.md LICENSE ./
COPY plugins plugins
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.12.15-slim-bookworm AS lab
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
# The image is one set of versions, made with Airflow's constraints for all of its providers. Ours differ (tenacity and protobuf are newer than
# its Google provider allows), so they hold only for what this project adds or needs newer; pip leaves everything else as the image
# has it, and a conflict fails the build, not the API server.
ARG OURS="aiobotocore|apache-airflow-providers-amazon|apache-airflow-providers-common-compat|boto3|botocore|isal|msgspec|orjson|pyarrow|s3transfer"
# Any AIRFLOW_UID may write the lab's bundle: the group is 0.
RUN grep --extended-regexp "^(${OURS})==" /wheels/constraints.txt > /tmp/ours.txt \
    && pip install --no-cache-dir --constraint /tmp/ours.txt "apache-airflow==${AIRFLOW_VERSION}" /wheels/*.whl \
    && pip check \
    && mkdir -p /opt/airflow/lab-bundle /opt/airflow/bundle \
    && chmod g+rwX /opt/airflow/lab-bundle
