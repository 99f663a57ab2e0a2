from datetime import timedelta
import time, pytest
from tests.airflow.runs import Table
pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]
HOUR = timedelta(hours=1)
def test_x(table: Table, caplog):
    import logging
    from tests.airflow.airflow_runs import run_scheduled, run_again, run_manually
    m = table.midnights
    table.write(m[0] + HOUR, {"id": {"S": "a"}, "price": {"N": "1.50"}}, {"id": {"S": "b"}})
    table.write(m[1] + HOUR, {"id": {"S": "a"}, "price": {"N": "2.50"}})
    table.write(m[2] + HOUR, {"id": {"S": "c"}, "price": {"N": "2.50"}})
    table.now()
    dag = table.dag()
    caplog.set_level(logging.INFO)
    for i in range(0, 3):
        t = time.time()
        f = run_scheduled(dag, m[i], m[i+1])
        print(time.time() - t, f.state, f.states, f.failures)
    print(f.xcom("hand_over", "export_end"), f.xcom("window.export", map_index=0))
    t = time.time()
    f = run_again(f)
    print(time.time() - t, f.state, f.failures, len(table.completed()))
    t = time.time()
    f = run_manually(dag, dry_run=True)
    print(time.time() - t, f.state, f.states, f.failures, len(table.completed()))
    print("LOGS", len(caplog.records))
    for r in caplog.records: print(r.name, "|", r.levelname, "|", r.getMessage()[:300])
