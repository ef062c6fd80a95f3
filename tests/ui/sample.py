"""A recommendation to draw: every kind of line, note and gap that the page has to show.

The figures are made up to exercise the page; nothing here is advice.
"""

from __future__ import annotations

from advisor.recommendation import (
    Change,
    CostLine,
    Excluded,
    Flip,
    PeopleTime,
    Range,
    Ranked,
    Reason,
    Recommendation,
    Relaxation,
    Replicas,
    Sizing,
    Unpriced,
)

WEEK = tuple(4 if 8 <= hour % 24 < 18 and hour // 24 < 5 else 2 for hour in range(168))


def line(name: str, usd: float, price: float | None = 0.1) -> CostLine:
    return CostLine(
        name=name,
        quantity=usd / price if price else 1460,
        unit="hours",
        unit_price_usd=price,
        usd=usd if price else 0.0,
        source="https://example.com/prices",
        as_of="2026-07-20",
    )


def ranked(
    option: str,
    kind: str,
    usd: float,
    *,
    lines: tuple[CostLine, ...] | None = None,
    at_least: bool = False,
    score: float = 0.6,
    week: tuple[int, ...] = WEEK,
) -> Ranked:
    lines = lines or (line("Machines", usd * 0.8), line("Load balancer", usd * 0.2, 0.0225))
    return Ranked(
        option=option,
        name=option.replace("-", " ").capitalize(),
        kind=kind,
        cloud="aws",
        score=score,
        contributions={"cost": score / 2, "latency": score / 3, "control": score / 6},
        utilities={"cost": 0.6, "latency": 0.7, "control": 0.4},
        region="us-east-1",
        machine="ml.c7i.large",
        replicas=Replicas(min=2, max=4),
        p95_ms=61.0,
        monthly_usd=Range(low=usd * 0.8, expected=usd, high=usd * 1.3),
        at_least=at_least,
        people_monthly_usd=540.0,
        people=PeopleTime(
            monthly_hours=Range(low=4, expected=6, high=9),
            setup_hours=Range(low=8, expected=16, high=30),
            hourly_usd=90.0,
            monthly_usd=Range(low=360, expected=540, high=810),
        ),
        total_monthly_usd=usd + 540.0,
        lines=lines,
        reasons=(
            Reason(rule="quick", because="A launch in 4 weeks favours managed", source="table"),
            Reason(rule="skill", because="Skill is basic: $0 of servers to run", source="table"),
        ),
        warnings=(Reason(rule="lock", because="The endpoint API is AWS's own", source="docs"),),
        sizing=Sizing(
            model="M/G/c behind one queue",
            service_time_ms=7.1,
            concurrency=2,
            utilisation=0.62,
            arrival_peak_per_s=25.4,
            replica_hours=2100.0,
            hourly_replicas=week,
        ),
        best_in_draws=0.87,
        deploy_target="sagemaker",
        deploy_variant="realtime",
    )


def recommendation() -> Recommendation:
    """Managed first, self-hosted second, one without a price, one ruled out twice."""
    return Recommendation(
        verdict="managed",
        winner="sagemaker-realtime",
        close_call=False,
        confidence=0.87,
        ranking=(
            ranked("sagemaker-realtime", "managed", 214.0, score=0.71),
            ranked("ecs-fargate", "self-hosted", 160.0, score=0.60),
            ranked(
                "vertex-online",
                "managed",
                300.0,
                score=0.41,
                at_least=True,
                lines=(line("Nodes", 300.0), line("Logs", 0.0, None)),
            ),
        ),
        excluded=(
            Excluded(
                option="lambda-url",
                rule="payload",
                because="8 MB request > 6 MB limit",
                source="https://example.com/limits",
            ),
            Excluded(
                option="lambda-url",
                rule="cold-starts",
                because="cold starts are not acceptable",
                source="requirements",
            ),
        ),
        unpriced=(Unpriced(option="azureml-online", because="no price for eastus"),),
        flips=(
            Flip(**{"from": 2e7}, field="traffic.requests_per_month", to=5.1e7, winner="ecs-ec2"),
            Flip(**{"from": 8}, field="model.service_time_ms", to=5000, winner=None),
        ),
        prices_as_of="2026-07-20",
    )


def nothing_fits() -> Recommendation:
    """Every option ruled out, with the smallest way back."""
    return Recommendation(
        verdict="none",
        winner=None,
        close_call=False,
        confidence=0.0,
        ranking=(),
        excluded=recommendation().excluded,
        unpriced=(),
        relaxations=(
            Relaxation(
                option="sagemaker-realtime",
                changes=(Change(**{"from": 1.0}, field="service.p95_ms", to=60.0),),
                because="SageMaker real-time would fit with a target of 60 ms",
            ),
        ),
        prices_as_of="2026-07-20",
    )
