"""One topic at a time: every question has its step, and only one."""

from __future__ import annotations

from ui.answers import starting_answers
from ui.questions import questions
from ui.steps import STEPS, within


def test_each_section_has_one_step() -> None:
    sections = [section for step in STEPS for section in step.sections]
    assert sorted(sections) == sorted({q.section for q in questions().values()})


def test_each_question_that_makes_sense_is_asked_once() -> None:
    held = starting_answers() | {"traffic.mode": "batch", "placement.clouds": ["kubernetes"]}
    asked = [
        q.path
        for step in STEPS
        for essential in (True, False)
        for q in step.asked(held, essential=essential)
    ]
    assert len(asked) == len(set(asked))
    left = set(questions()) - set(asked)
    assert left == {"model.gpu_memory_gb", "service.p95_ms"}


def test_there_is_no_step_before_the_first_or_after_the_last() -> None:
    assert within(-1) == 0
    assert within(99) == len(STEPS) - 1
