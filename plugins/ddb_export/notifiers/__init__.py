"""Telling people: what gives notices to Airflow's notifiers, and the callback of a run's deadline."""
