"""What users declare about alerts: how old data may become, and who is told."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ddb_export.config import fields
from ddb_export.config.problems import nearest, refuse
from ddb_export.domain.freshness import HORIZON_WARNING
from ddb_export.domain.notices import RUNBOOK

KNOWN_NOTIFIERS: Mapping[str, str] = MappingProxyType(
    {
        "sns": "airflow.providers.amazon.aws.notifications.sns.SnsNotifier",
        "ses": "airflow.providers.amazon.aws.notifications.ses.SesNotifier",
        "smtp": "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
        "slack": "airflow.providers.slack.notifications.slack.SlackNotifier",
        "slack_webhook": "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier",
    }
)
"""Short names of notifiers of Airflow's own providers."""

Mutable = Literal["nothing-changed", "unusually-many", "billed-more"]
"""Troubles that may be usual for a table. Of late or lost data everybody hears."""


def _path(value: str) -> str:
    if value in KNOWN_NOTIFIERS:
        return KNOWN_NOTIFIERS[value]
    if "." not in value or not all(part.isidentifier() for part in value.split(".")):
        near = nearest(value, KNOWN_NOTIFIERS)
        meant = f"write {near}" if near else f"write one of {', '.join(KNOWN_NOTIFIERS)}, or a class's dotted path"
        refuse("names no notifier", meant)
    return value


class NotifierConfiguration(BaseModel):
    """Somebody who is told."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    notifier: Annotated[
        str,
        AfterValidator(_path),
        fields.Accepts("sns, ses, smtp, slack, slack_webhook, or the dotted path of a notifier"),
    ] = Field(description="Which of Airflow's notifiers: a short name, or the dotted path of its class.")
    arguments: Annotated[dict[str, Any], fields.Accepts("a mapping, such as {target_arn: ...}")] = Field(
        {}, description="Its arguments; a subject and message that are not given are filled in. Templates see `notice`."
    )


class AlertConfiguration(BaseModel):
    """Who is told of late data and of what threatens it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    notifiers: Annotated[tuple[NotifierConfiguration, ...], fields.AS_TUPLE, fields.Accepts("a list of notifiers")] = (
        Field((), description="Who is told; nobody by default.")
    )
    horizon: fields.Horizon = Field(
        HORIZON_WARNING,
        description="How long before point-in-time recovery passes what is not exported it is said.",
    )
    mute: Annotated[
        tuple[Annotated[Mutable, fields.Accepts("nothing-changed, unusually-many or billed-more")], ...],
        fields.AS_TUPLE,
        fields.Accepts("a list of nothing-changed, unusually-many, billed-more"),
    ] = Field((), description="What is usual for the table, and so not told.")
    runbook: fields.Text = Field(RUNBOOK, description="Page that the notices point to, with an anchor per trouble.")
