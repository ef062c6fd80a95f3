"""What a conversion to ONNX gave: the proof, the gain, the money, in figures and in words."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from advisor.recommendation import Recommendation


class Figures(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Proof(Figures):
    """How far the two models' answers are apart over `rows` rows.

    `worst` and `typical` are of probabilities, or of values as shares of their spread.
    """

    rows: int
    rows_given: int  # of them from the sample
    range_from: str  # where the others' range comes from, in words
    kind: str  # "probability" or "value"
    worst: float
    typical: float
    rows_beyond: int  # further apart than the tolerance
    labels_differ: int  # where the classes were not nearly tied
    tolerance: float


class Gain(Figures):
    """Processor time here of the library's call, in milliseconds."""

    one_before_ms: float
    one_after_ms: float
    batch_rows: int
    batch_before_ms: float
    batch_after_ms: float

    @property
    def one(self) -> float:
        """Times as quick for one row."""
        return self.one_before_ms / self.one_after_ms

    @property
    def batch(self) -> float:
        return self.batch_before_ms / self.batch_after_ms


class Money(Figures):
    """The best option with the model as it is and converted, a month in US dollars, bill only."""

    option_before: str | None
    option_after: str | None
    before_usd: float | None
    after_usd: float | None
    service_before_ms: float  # on an m5 vCPU
    service_after_ms: float
    sentence: str

    @property
    def saved_usd(self) -> float | None:
        if self.before_usd is None or self.after_usd is None:
            return None
        return self.before_usd - self.after_usd


class Conversion(Figures):
    """A model converted and proven. `file` lies where it was asked for."""

    source: str
    source_digest: str
    source_format: str
    file: str
    digest: str
    size_mb: float
    proof: Proof
    gain: Gain
    money: Money | None = None


def money(
    before: Recommendation, after: Recommendation, before_ms: float, after_ms: float
) -> Money:
    """The same requirements with two service times; the bills of the two winners."""
    old = before.ranking[0] if before.ranking else None
    new = after.ranking[0] if after.ranking else None
    old_usd = old.monthly_usd.expected if old else None
    new_usd = new.monthly_usd.expected if new else None
    quick = f"one request takes {_ms(after_ms)} instead of {_ms(before_ms)} on an m5 vCPU"
    if new is None:
        sentence = f"Nothing fits with the converted model either, though {quick}."
    elif old is None:
        sentence = (
            f"Only the converted model fits: {new.name} for ${new_usd:,.0f} a month, and {quick}."
        )
    else:
        saved = (old_usd or 0.0) - (new_usd or 0.0)
        way = old.name if old.option == new.option else f"{old.name}, then {new.name}"
        bill = f"${old_usd:,.0f} to ${new_usd:,.0f}, {way}"
        if saved >= 1:
            sentence = f"Converting saves ${saved:,.0f} a month ({bill}), and {quick}."
        elif saved <= -1:
            # The ranking weighs more than money; a dearer winner is better at something else.
            sentence = f"The bill goes from {bill}: another option is best now, and {quick}."
        else:
            sentence = (
                f"The bill stays as it is (${new_usd:,.0f} a month, {new.name}), and {quick}."
            )
    return Money(
        option_before=old.option if old else None,
        option_after=new.option if new else None,
        before_usd=old_usd,
        after_usd=new_usd,
        service_before_ms=before_ms,
        service_after_ms=after_ms,
        sentence=sentence,
    )


def proof_sentence(proof: Proof) -> str:
    """The proof in a sentence or two."""
    what = "probability" if proof.kind == "probability" else "value, as a share of the spread,"
    given = f"{proof.rows_given:,} of yours and " if proof.rows_given else ""
    beyond = (
        "none is further apart" if not proof.rows_beyond else f"{proof.rows_beyond} further apart"
    )
    return (
        f"Both models agree on {given}{proof.rows - proof.rows_given:,} random rows within "
        f"{proof.range_from}: the largest difference of a {what} is {proof.worst:.2g} (allowed "
        f"{proof.tolerance:g}; {beyond}), and the labels are the same."
    )


def text(found: Conversion) -> str:
    """The conversion for a terminal."""
    g = found.gain
    lines = [
        f"{found.source} → {found.file} · {found.size_mb:,.3g} MB · sha256 {found.digest[:12]}",
        proof_sentence(found.proof),
        f"{'one row':<12} {_ms(g.one_before_ms)} → {_ms(g.one_after_ms)}: {g.one:,.3g} times as quick",
        f"{f'{g.batch_rows} rows':<12} {_ms(g.batch_before_ms)} → {_ms(g.batch_after_ms)}: "
        f"{g.batch:,.3g} times as quick",
    ]
    if found.money is not None:
        lines.append(found.money.sentence)
    return "\n".join(lines)


def _ms(value: float) -> str:
    return f"{value:,.3g} ms"
