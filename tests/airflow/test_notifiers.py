"""Notices reach people over the real protocols: a mail server, and Slack's HTTP as far as a local endpoint speaks it."""

from __future__ import annotations

import json
import threading
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
from aiosmtpd.controller import Controller
from airflow.sdk import BaseNotifier
from airflow.sdk._shared.secrets_masker import redact

from ddb_export.config.alerts import NotifierConfiguration
from ddb_export.domain.incidents import NoticeKind
from ddb_export.domain.notices import Notice
from ddb_export.domain.window import Stretch
from ddb_export.exceptions import NotReachableError
from ddb_export.notifiers.dispatch import identity_of, send
from ddb_export.notifiers.redaction import redacted
from ddb_export.pipeline.incidents import NotAllToldError

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]
SINCE = datetime(2026, 3, 1, tzinfo=UTC)
NOTICE = Notice(
    NoticeKind.ALERT,
    "orders",
    "late",
    "the data of <b> & {{ 7 * 7 }} is late",
    "run it",
    SINCE,
    SINCE,
    "1 d 3 h",
    "docs/runbook.md#late",
    "http://airflow/dags/ddb_export__orders/runs",
)


class Webhook(BaseNotifier):
    """Posts to an address that is itself a password, and raises what the library raises, as many notifiers do."""

    template_fields = ("url",)

    def __init__(self, *, url: str) -> None:
        super().__init__()
        self.url = url

    def notify(self, _context: Any) -> None:
        requests.post(self.url, json={}, timeout=5)


class MailServer:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd calls it so
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 kept"


@pytest.fixture
def mail(airflow_database: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    server = MailServer()
    controller = Controller(server, hostname="127.0.0.1", port=0, ready_timeout=30)
    # Port 0 is for the system to choose; aiosmtpd then knocks at the port that it was given, so that it is asked for one first.
    controller.port = _free_port()
    controller.start()
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "lake@example.com"}
    document = {"conn_type": "smtp", "host": "127.0.0.1", "port": controller.port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_MAIL", json.dumps(document))
    yield server
    controller.stop()


def _free_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as probe:
        return int(probe.server_address[1])


@pytest.fixture
def slack(airflow_database: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What was posted, by path and body; the answers are Slack's."""
    posted: list[dict[str, Any]] = []

    class Slack(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            as_json = self.headers["Content-Type"].startswith("application/json")
            fields = json.loads(body) if as_json else {key: value[0] for key, value in parse_qs(body).items()}
            posted.append({"path": self.path, **fields})
            answer = b"ok" if self.path.startswith("/services/") else b'{"ok": true}'
            self.send_response(200)
            self.send_header("Content-Type", "text/plain" if answer == b"ok" else "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Slack) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        api = {"conn_type": "slack", "password": "xoxb-lab", "extra": {"base_url": f"{url}/api/"}}
        hook = {"conn_type": "slackwebhook", "password": f"{url}/services/T/B/X"}
        monkeypatch.setenv("AIRFLOW_CONN_SLACK_LAB", json.dumps(api))
        monkeypatch.setenv("AIRFLOW_CONN_HOOK_LAB", json.dumps(hook))
        yield posted
        server.shutdown()


@pytest.fixture
def ses(airflow_database: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What SES was asked for: the query protocol's parameters; the answer is the API's."""
    asked: list[dict[str, Any]] = []
    answer = (
        b'<SendRawEmailResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><SendRawEmailResult><MessageId>1</MessageId>'
        b"</SendRawEmailResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></SendRawEmailResponse>"
    )

    class Ses(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked.append({key: value[0] for key, value in parse_qs(body).items()})
            self.send_response(200)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Ses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        extra = {"region_name": "us-east-1", "endpoint_url": f"http://127.0.0.1:{server.server_address[1]}"}
        document = {"conn_type": "aws", "login": "lab", "password": "lab", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SES_LAB", json.dumps(document))
        yield asked
        server.shutdown()


def declared(notifier: str, **arguments: Any) -> dict[str, Any]:
    return NotifierConfiguration(notifier=notifier, arguments=arguments).model_dump()


def tell(notifier: str, **arguments: Any) -> None:
    send(NOTICE, [declared(notifier, **arguments)], {})


def test_mail(mail):
    tell("smtp", to="on-call@example.com", smtp_conn_id="mail")
    (got,) = mail.mails
    assert (got["To"], got["Subject"]) == ("on-call@example.com", "[ddb_export] orders: late")
    content = got.get_body(("html",)).get_content()
    assert "orders: the data of &lt;b&gt; &amp; {{ 7 * 7 }} is late<br>" in content
    assert "Last good: data is complete to 2026-03-01T00:00:00Z, 1 d 3 h ago<br>" in content


def test_ses(ses):
    tell("ses", mail_from="lake@example.com", to="on-call@example.com", aws_conn_id="ses_lab")
    (asked,) = ses
    assert (asked["Action"], asked["Source"]) == ("SendRawEmail", "lake@example.com")
    assert asked["Destinations.member.1"] == "on-call@example.com"
    got = message_from_bytes(b64decode(asked["RawMessage.Data"]), policy=policy.default)
    assert (got["To"], got["Subject"]) == ("on-call@example.com", "[ddb_export] orders: late")
    assert "Remedy: run it<br>" in got.get_body(("html",)).get_content()


@pytest.mark.scenario("F37")
def test_who_took_a_notice_is_said_when_another_did_not_and_is_not_told_again(slack):
    down = declared("smtp", to="a@example.com", from_email="b@example.com", smtp_conn_id="nowhere")
    works = declared("slack_webhook", slack_webhook_conn_id="hook_lab")
    with pytest.raises(NotAllToldError, match="SmtpNotifier: it could not tell") as raised:
        send(NOTICE, [down, works], {})
    assert raised.value.taken_by == {identity_of(works)}
    with pytest.raises(NotAllToldError) as again:
        send(replace(NOTICE, taken_by=raised.value.taken_by), [down, works], {})
    assert (len(slack), again.value.taken_by) == (1, frozenset())


def test_the_name_of_a_notifier_hangs_on_its_arguments_and_does_not_hold_them():
    first = declared("slack", channel="#data", password="secret")
    assert identity_of(first) == identity_of({**first, "arguments": dict(reversed(first["arguments"].items()))})
    assert identity_of(first) != identity_of(declared("slack", channel="#other", password="secret"))
    assert "secret" not in identity_of(first)
    assert "#data" not in identity_of(first)


def test_the_last_good_window_is_said_from_and_to():
    notice = replace(NOTICE, last_window=Stretch(SINCE - timedelta(days=1), SINCE))
    last = "; the last window is [2026-02-28T00:00:00Z, 2026-03-01T00:00:00Z)"
    assert f"Last good: data is complete to 2026-03-01T00:00:00Z, 1 d 3 h ago{last}\n" in notice.text


def test_slack(slack):
    tell("slack", channel="#data", slack_conn_id="slack_lab")
    tell("slack", channel="#data", slack_conn_id="slack_lab", text=":hourglass: {{ notice.table }} {{ notice.kind }}")
    assert [each["path"] for each in slack] == ["/api/chat.postMessage"] * 2
    assert [each["channel"] for each in slack] == ["#data"] * 2
    assert slack[0]["text"] == NOTICE.text
    assert slack[1]["text"] == ":hourglass: orders alert"


def test_slack_webhook(slack):
    tell("slack_webhook", slack_webhook_conn_id="hook_lab")
    (got,) = slack
    assert (got["path"], got["text"]) == ("/services/T/B/X", NOTICE.text)


def test_a_mail_server_that_is_down_is_one_line_with_its_remedy(airflow_database, monkeypatch):
    document = {
        "conn_type": "smtp",
        "host": "127.0.0.1",
        "port": _free_port(),
        "extra": {"disable_ssl": True, "retry_limit": 1},
    }
    monkeypatch.setenv("AIRFLOW_CONN_MAIL", json.dumps(document))
    with pytest.raises(
        NotReachableError, match=r"^notifier .*SmtpNotifier: it could not tell .* Remedy: mend its connection"
    ):
        tell("smtp", to="a@example.com", from_email="b@example.com", smtp_conn_id="mail")


def test_the_address_of_a_webhook_is_in_no_error_and_masked_in_logs(caplog):
    url = f"http://127.0.0.1:{_free_port()}/api/webhooks/4711/Ab3-dEf_gHiJkLmN"
    with pytest.raises(
        NotReachableError, match=r"Webhook: it could not tell \(ConnectionError: .*url: /api/\*\*\*/"
    ) as raised:
        send(NOTICE, [{"notifier": f"{__name__}.Webhook", "arguments": {"url": url + "?of={{ notice.table }}"}}], {})
    assert "Ab3-dEf_gHiJkLmN" not in f"{raised.value}{caplog.text}"
    # The traceback keeps the library's words: Airflow's log must not.
    assert "Ab3-dEf_gHiJkLmN" not in str(redact(f"Max retries exceeded with url: {url}"))


def test_what_names_a_thing_stays_in_the_error_and_what_may_be_a_secret_does_not():
    arguments = {
        "slack_conn_id": "slack_api_default",
        "text": "DynamoDB table {{ notice.table }}",
        "headers": [{"token": "tok-en"}],
        "routing_key": 1234567,
        "verbose": True,
        "retries": None,
    }
    error = ValueError("DynamoDB: the conn_id slack_api_default is not defined; tok-en, 1234567, True")
    assert redacted(error, arguments) == (
        "ValueError: DynamoDB: the conn_id slack_api_default is not defined; ***, ***, True"
    )
