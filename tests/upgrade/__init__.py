"""An upgrade of the provider under a real Airflow: tasks that an older wheel deferred come back to the present one."""
