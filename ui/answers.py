"""The answers on the page: flat, by path, as plain values; and the link that carries them.

Nothing in this file knows Streamlit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, lru_cache
from typing import Any

from pydantic import ValidationError

from advisor.errors import RequirementsError
from advisor.presets import presets
from advisor.requirements import Requirements, parse
from ui.questions import Question, questions, section_model

Answers = dict[str, Any]

# One of the two has to be answered; see the contradictions of the requirements.
_TIME, _CLASS = "model.service_time_ms", "model.model_class"


@dataclass(frozen=True)
class Link:
    """What a link said: the answers, and one sentence for each thing that was dropped."""

    answers: Answers
    dropped: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)  # required questions it leaves out


def starting_answers() -> Answers:
    """The first preset: what a newcomer sees."""
    return flatten(next(iter(presets().values())).requirements)


def flatten(need: Requirements) -> Answers:
    """Answers by path, as plain values that a form can hold."""
    plain = need.model_dump(mode="json")
    return {path: plain[q.section][q.name] for path, q in questions().items()}


def to_requirements(answers: Answers) -> Requirements:
    """Requirements from the answers; a question that is not asked has its default.

    Raises RequirementsError with one sentence for each problem.
    """
    nested: dict[str, dict[str, Any]] = {}
    for path, question in questions().items():
        if path in answers and is_asked(question, answers):
            nested.setdefault(question.section, {})[question.name] = answers[path]
    return parse(nested)


def is_asked(question: Question, answers: Answers) -> bool:
    """Whether the question makes sense given the other answers (`depends_on`)."""
    if question.depends_on is None:
        return True
    path, wanted = question.depends_on
    given = answers.get(path)
    return any(_to_text(v) in wanted for v in (given if isinstance(given, list) else [given]))


def problems(answers: Answers) -> list[str]:
    """What is wrong with the answers, one sentence each; empty when they can be advised on."""
    try:
        to_requirements(answers)
    except RequirementsError as error:
        return error.problems
    return []


def same(one: Answers, other: Answers) -> bool:
    """Whether two sets of answers ask for the same thing."""
    return one == other or encode(one) == encode(other)


@cache
def preset_links() -> Mapping[str, Mapping[str, str]]:
    """What the link of each preset says, by its id."""
    return {p.id: encode(flatten(p.requirements)) for p in presets().values()}


def encode(answers: Answers) -> dict[str, str]:
    """The link's parameters: required answers, and all that differ from their default."""
    return dict(_encoded(json.dumps(answers)))


@lru_cache(maxsize=512)
def _encoded(given: str) -> Mapping[str, str]:
    """The link of some answers as JSON: a run of the page asks for the same one several times."""
    answers: Answers = json.loads(given)
    out = {}
    for path, question in questions().items():
        if path not in answers or not is_asked(question, answers):
            continue
        value = answers[path]
        if question.required or not _equal(value, question.default):
            out[path] = _to_text(value)
    return out


def decode(params: Mapping[str, str]) -> Link:
    """Answers from a link. What cannot be used is dropped, and said.

    A question that the link leaves out has its default; a required one that of the first preset.
    No parameters at all: the first preset.
    """
    start = starting_answers()
    if not params:
        return Link(start)
    answers: Answers = {p: start[p] if q.required else q.default for p, q in questions().items()}
    dropped = []
    for path, text in params.items():
        question = questions().get(path)
        if question is None:
            dropped.append(f"{path} is not a question here")
            continue
        try:
            answers[path] = _validated(question, _from_text(question, text))
        except (ValidationError, ValueError) as error:
            dropped.append(f"{path} is {_short(text)}; {_said(error)}")
    if not params.keys() & questions().keys():
        return Link(start, dropped)
    filled = [p for p, q in questions().items() if q.required and p not in params]
    if answers[_TIME] is None and answers[_CLASS] is None:
        answers[_TIME] = start[_TIME]
        filled.append(_TIME)
    return Link(answers, dropped, filled)


def changed(answers: Answers, changes: Iterable[tuple[str, Any]]) -> Answers:
    """The answers with some of them replaced (a relaxation, a flip)."""
    out = dict(answers)
    for path, value in changes:
        plain = value.value if isinstance(value, Enum) else value
        out[path] = list(plain) if isinstance(plain, tuple) else plain
    return out


def _equal(one: Any, other: Any) -> bool:
    if type(one) is type(other) and one == other:
        return True
    return json.dumps(_numbers(one), sort_keys=True) == json.dumps(_numbers(other), sort_keys=True)


def _numbers(value: Any) -> Any:
    """Whole floats as integers, so that 3 and 3.0 are one answer."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, (list, tuple)):
        return [_numbers(v) for v in value]
    if isinstance(value, dict):
        return {k: _numbers(v) for k, v in value.items()}
    return value


def _to_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, (list, tuple)):
        return ",".join(_to_text(v) for v in value)
    if isinstance(value, dict):
        return ",".join(
            f"{key}:{_to_text(h.get('monthly_hours'))}:{_to_text(h.get('setup_hours'))}"
            for key, h in value.items()
        )
    return str(value)


def _from_text(question: Question, text: str) -> Any:
    if text == "" and question.optional:
        return None
    if question.kind in ("choices", "texts"):
        return [part for part in text.split(",") if part]
    if question.kind == "week" and "," in text:
        return [float(part) for part in text.split(",")]
    if question.kind == "hours":
        return dict(_hours(part) for part in text.split(",") if part)
    return text


def _hours(text: str) -> tuple[str, dict[str, float | None]]:
    option, monthly, setup = [*text.split(":"), "", ""][:3]
    return option, {
        "monthly_hours": float(monthly) if monthly else None,
        "setup_hours": float(setup) if setup else None,
    }


def _validated(question: Question, value: Any) -> Any:
    """The value as the field takes it, in plain form. Raises ValidationError."""
    model = section_model(Requirements.model_fields[question.section])
    start = starting_answers()
    filler = {
        q.name: start[q.path]
        for q in questions().values()
        if q.section == question.section and q.required
    }
    made = model.model_validate({**filler, question.name: value})
    return made.model_dump(mode="json")[question.name]


def _said(error: ValidationError | ValueError) -> str:
    if not isinstance(error, ValidationError):
        return f"that cannot be read ({error})"
    item = error.errors()[0]
    if item["type"] == "value_error":
        return f"it {item['ctx']['error']}"
    text = item["msg"]
    return text[0].lower() + text[1:]


def _short(text: str) -> str:
    return repr(text) if len(text) <= 40 else repr(text[:37] + "...")
