"""Links from Airflow's pages to the AWS console."""
