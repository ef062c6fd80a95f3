"""The questionnaire one topic at a time. Nothing in this file knows Streamlit."""

from __future__ import annotations

from dataclasses import dataclass

from ui.answers import Answers, is_asked
from ui.questions import Question, questions


@dataclass(frozen=True)
class Step:
    """One topic: the sections of the requirements that it asks, and what it is for."""

    title: str
    sections: tuple[str, ...]
    why: str

    def asked(self, answers: Answers, *, essential: bool) -> list[Question]:
        """Its questions that make sense with these answers: the short form's, or the others."""
        return [
            q
            for q in questions().values()
            if q.section in self.sections
            and (q.ask == "essential") == essential
            and is_asked(q, answers)
        ]


STEPS = (
    Step("Your model", ("model",), "How big it is and how long one request takes decide the size."),
    Step("Traffic", ("traffic",), "How many requests, and when: this drives the bill."),
    Step("Service", ("service",), "How fast and how reliably it has to answer."),
    Step("Control", ("control",), "What must be in your own hands, and what may stay closed."),
    Step("Team", ("team",), "Who will run it: people's time is part of the cost."),
    Step("Place", ("placement", "budget", "today"), "Where it may run, for how much, and what is "
         "there today. The defaults are fine to begin with."),
    Step("What matters", ("priorities",), "Weights from 0 (does not matter) to 5 (decides)."),
)  # fmt: skip


def within(step: int) -> int:
    """The nearest number of a step that there is."""
    return min(max(step, 0), len(STEPS) - 1)
