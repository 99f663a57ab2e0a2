"""docker-compose.yaml in a real container engine: ``make engine-check``."""
