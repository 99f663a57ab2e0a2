"""Where the alerts of a table go: an SNS topic with a queue behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.scheduler.world import ACCOUNT, CONNECTION, REGION

_NAME = "data-on-call"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:{_NAME}"
NOTIFIER = {"notifier": "sns", "arguments": {"target_arn": TOPIC, "aws_conn_id": CONNECTION}}


class Mailbox:
    """All notices since it was made, in order.

    :param aws: makes clients of the account.
    """

    def __init__(self, aws: Callable[[str], Any]) -> None:
        self._sqs = aws("sqs")
        assert aws("sns").create_topic(Name=_NAME)["TopicArn"] == TOPIC
        self._queue = self._sqs.create_queue(QueueName=_NAME)["QueueUrl"]
        aws("sns").subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{_NAME}")
        self._read: list[str] = []

    def subjects(self) -> list[str]:
        """Return the subjects of all notices so far, without the product's name."""
        while messages := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for each in messages:
                self._read.append(json.loads(each["Body"])["Subject"].removeprefix("[ddb_export] "))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=each["ReceiptHandle"])
        return list(self._read)
