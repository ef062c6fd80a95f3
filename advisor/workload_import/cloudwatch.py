"""The traffic of a running endpoint, function, API or load balancer, from CloudWatch's metrics.

The only module of the decision that talks to a cloud, and only when it is asked to: it reads
`cloudwatch:GetMetricData` with the machine's own credentials.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import numpy as np
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from numpy.typing import NDArray

from advisor import aws_errors
from advisor.errors import TrafficError
from advisor.workload_import.summary import ImportedTraffic, Measured, summarise

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef

MAX_WEEKS = 15
HOUR_S, MINUTE_S = 3600, 60
MINUTES_KEPT_DAYS = 15  # CloudWatch keeps one-minute figures for 15 days, hourly ones for 455
MAX_PAGES = 200


@dataclass(frozen=True)
class Metrics:
    """Where CloudWatch keeps the requests of a source: alternatives of dimensions are added up."""

    said: str
    namespace: str
    requests: str
    dimensions: tuple[tuple[tuple[str, str], ...], ...]
    latency: str = ""
    latency_per_ms: float = 1.0


def read_cloudwatch(
    source: str,
    region: str | None = None,
    *,
    weeks: int = MAX_WEEKS,
    client: CloudWatchClient | None = None,
    now: datetime | None = None,
) -> ImportedTraffic:
    """The traffic of the last weeks: hourly sums, and the busiest minute of the last 15 days.

    `source` is sagemaker:ENDPOINT/VARIANT, lambda:FUNCTION, api:NAME-OR-ID or alb:app/NAME/ID.
    Raises TrafficError for a source that is none or has no figures, and for missing, expired or
    denied credentials.
    """
    metrics = metrics_of(source)
    if not 1 <= weeks <= MAX_WEEKS:
        raise TrafficError(f"{weeks} weeks cannot be read; ask for 1 to {MAX_WEEKS}")
    end = (now or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(weeks=weeks)
    asking = f"read the metrics of {metrics.said}"
    try:
        talk = client or _client(region)
        hourly = _figures(talk, metrics, metrics.requests, "Sum", HOUR_S, start, end)
        if not hourly:
            where = f" in {talk.meta.region_name}"
            raise TrafficError(
                f"CloudWatch holds no {metrics.requests} of {metrics.said}{where} since "
                f"{start:%Y-%m-%d}; check the name and the region"
            )
        from_minutes = max(start, end - timedelta(days=MINUTES_KEPT_DAYS))
        minutes = _figures(talk, metrics, metrics.requests, "Sum", MINUTE_S, from_minutes, end)
        latency = (
            _figures(talk, metrics, metrics.latency, "Average", HOUR_S, start, end)
            if metrics.latency
            else {}
        )
    except (ClientError, BotoCoreError) as error:
        said = aws_errors.in_words(
            error,
            asking,
            when_denied="ask for cloudwatch:GetMetricData",
            when_no_region="name one with --region",
        )
        raise TrafficError(said.sentence) from error
    return _summary(metrics, hourly, minutes, latency)


def metrics_of(source: str) -> Metrics:
    """What a source's metrics are called. Raises TrafficError for one that is not understood."""
    kind, _, name = source.partition(":")
    if not name or not re.fullmatch(r"[\w.$/\-: ]{1,256}", name):
        raise TrafficError(
            f"{source!r} names nothing; write sagemaker:ENDPOINT/VARIANT, lambda:FUNCTION, "
            "api:NAME-OR-ID or alb:app/NAME/ID"
        )
    if kind == "sagemaker":
        endpoint, _, variant = name.partition("/")
        pair = (("EndpointName", endpoint), ("VariantName", variant or "AllTraffic"))
        return Metrics(f"the endpoint {name}", "AWS/SageMaker", "Invocations", (pair,),
                       "ModelLatency", 1000.0)  # fmt: skip
    if kind == "lambda":
        return Metrics(f"the function {name}", "AWS/Lambda", "Invocations",
                       ((("FunctionName", name),),), "Duration")  # fmt: skip
    if kind == "api":  # a REST API goes by its name, an HTTP API by its id
        return Metrics(f"the API {name}", "AWS/ApiGateway", "Count",
                       ((("ApiName", name),), (("ApiId", name),)))  # fmt: skip
    if kind == "alb":
        short = name.rpartition("loadbalancer/")[2]
        return Metrics(f"the load balancer {short}", "AWS/ApplicationELB", "RequestCount",
                       ((("LoadBalancer", short),),))  # fmt: skip
    raise TrafficError(f"{kind!r} is no source of metrics; use sagemaker, lambda, api or alb")


def _client(region: str | None) -> CloudWatchClient:
    config = Config(
        connect_timeout=5, read_timeout=30, retries={"mode": "adaptive", "max_attempts": 8}
    )
    return boto3.Session(region_name=region).client("cloudwatch", config=config)


def _figures(
    client: CloudWatchClient,
    metrics: Metrics,
    metric: str,
    stat: str,
    period_s: int,
    start: datetime,
    end: datetime,
) -> dict[int, float]:
    """Figures by seconds since 1970, added up over the alternatives of dimensions."""
    queries: list[MetricDataQueryTypeDef] = [
        {
            "Id": f"q{i}",
            "MetricStat": {
                "Metric": {
                    "Namespace": metrics.namespace,
                    "MetricName": metric,
                    "Dimensions": [{"Name": name, "Value": value} for name, value in pairs],
                },
                "Period": period_s,
                "Stat": stat,
            },
        }
        for i, pairs in enumerate(metrics.dimensions)
    ]
    out: dict[int, float] = {}
    for page in _pages(client, queries, start, end):
        for result in page["MetricDataResults"]:
            if result.get("StatusCode") in ("InternalError", "Forbidden"):
                raise TrafficError(
                    f"CloudWatch gave no figures of {metrics.said} ({result['StatusCode']}); "
                    "repeat, or ask for cloudwatch:GetMetricData"
                )
            for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                second = int(at.timestamp()) // period_s * period_s
                out[second] = out.get(second, 0.0) + value
    return out


def _pages(
    client: CloudWatchClient,
    queries: Sequence[MetricDataQueryTypeDef],
    start: datetime,
    end: datetime,
) -> Iterator[Any]:
    token: dict[str, Any] = {}
    for _ in range(MAX_PAGES):
        page = client.get_metric_data(
            MetricDataQueries=queries, StartTime=start, EndTime=end, **token
        )
        yield page
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}
    raise TrafficError(f"CloudWatch answered with more than {MAX_PAGES} pages; ask for fewer weeks")


def _summary(
    metrics: Metrics,
    hourly: dict[int, float],
    minutes: dict[int, float],
    latency: dict[int, float],
) -> ImportedTraffic:
    first, last = min(hourly) // 60, max(hourly) // 60
    requests: NDArray[np.float64] = np.zeros(last - first + 60)
    rows: NDArray[np.uint32] = np.zeros(last - first + 60, dtype=np.uint32)
    at = np.array(sorted(hourly)) // 60 - first
    requests[at], rows[at] = [hourly[second] for second in sorted(hourly)], 1
    weight = sum(hourly[second] for second in latency if second in hourly)
    mean_ms = (
        sum(hourly[second] * value for second, value in latency.items() if second in hourly)
        / weight
        / metrics.latency_per_ms
        if weight > 0
        else None
    )
    found = summarise(
        Measured(
            requests=requests,
            rows=rows,
            first_minute=first,
            seen_first=first,
            seen_last=last + 59,
            kind="counts",
            bucket_s=float(HOUR_S),
            gaps="zero",  # CloudWatch keeps no figure for an hour without a request
            source=f"CloudWatch ({metrics.said})",
            table_rows=len(hourly),
            busiest=(max(minutes.values()) / MINUTE_S, float(MINUTE_S)) if minutes else None,
            notes=(f"Read the hourly sums of {metrics.requests} in {metrics.namespace}.",),
        )
    )
    return found.model_copy(update={"model_latency_ms": mean_ms})
