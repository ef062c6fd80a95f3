"""A plan as a person reads it before agreeing to it."""

from __future__ import annotations

from deploy.expiry import left
from deploy.target import Plan


def in_words(plan: Plan) -> str:
    """What a plan would do, as lines for a terminal."""
    monthly = "unknown" if plan.monthly_usd is None else f"${plan.monthly_usd:,.2f}"
    if plan.monthly_usd_high and plan.monthly_usd_high != plan.monthly_usd:
        monthly += f" (up to ${plan.monthly_usd_high:,.2f})"
    head = [
        ("Deployment", f"{plan.name} ({plan.option} on target {plan.target})"),
        ("Model", f"{plan.model_path} ({plan.model_format}, sha256 {plan.model_digest[:12]})"),
        ("Account", plan.account),
        ("Region", plan.region),
        ("Monthly cost", monthly),
        ("Takes about", f"{plan.expected_minutes:g} min"),
        ("Until", _until(plan)),
        ("Proven by", f"{plan.proven_by}, last on {plan.proven_on}"),
    ]
    rows = [f"{label:<14}{value}" for label, value in head]
    for label, lines in (
        (
            "Resources",
            [f"{r.action} {r.kind} {r.name}  {r.detail}".rstrip() for r in plan.resources],
        ),
        ("Public", plan.public),
        ("Permissions", plan.permissions),
        ("Written", plan.writes_at_plan_time),
        ("Note", [f"{f.message}; {f.fix}".rstrip("; ") for f in plan.findings if not f.ok]),
    ):
        rows += [f"{label if i == 0 else '':<14}{line}" for i, line in enumerate(lines)]
    return "\n".join(rows)


def _until(plan: Plan) -> str:
    if plan.expires_at is None:
        return "it is destroyed"
    return f"{plan.expires_at:%Y-%m-%d %H:%M} UTC ({left(plan.expires_at)}), by itself"
