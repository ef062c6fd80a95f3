"""The record as JSON: the recommendation, the requirements it answers, and the record's words.

It has all keys of the recommendation at its top, so whatever reads one reads the other.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import ConfigDict, model_validator

from advisor.errors import InputError
from advisor.recommendation import Recommendation
from advisor.record.content import RecordText
from advisor.requirements import Requirements

_COMPUTED = tuple(Recommendation.model_computed_fields)


class DecisionRecord(Recommendation):
    """A recommendation with its question and the decision in words."""

    model_config = ConfigDict(title="Decision record")

    requirements: Requirements
    record: RecordText

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, data: Any) -> Any:
        """What is computed is written, but not read back."""
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if key not in _COMPUTED}
        return data


def make(need: Requirements, answer: Recommendation, said: RecordText) -> DecisionRecord:
    fields = {name: getattr(answer, name) for name in Recommendation.model_fields}
    return DecisionRecord.model_construct(**fields, requirements=need, record=said)


def render(made: DecisionRecord) -> str:
    """Raises InputError for a number that JSON cannot carry."""
    data = made.model_dump(mode="json", by_alias=True)
    try:
        return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError as error:
        raise InputError(f"the answer holds a number that JSON cannot carry: {error}") from error


def schema() -> dict[str, Any]:
    """JSON Schema of the record as it is written."""
    return DecisionRecord.model_json_schema(mode="serialization", by_alias=True)
