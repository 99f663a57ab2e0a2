"""The services of docker-compose.yaml as processes of this machine: every command and variable from the file, two Celery workers, no engine."""
