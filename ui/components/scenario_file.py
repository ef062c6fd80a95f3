"""A scenario from a file: the requirements file with a name, or a decision record in JSON."""

from __future__ import annotations

from advisor import scenario
from advisor.errors import RequirementsError
from advisor.requirements import MAX_FILE_BYTES
from advisor.scenario import Scenario

LIMIT_MB = MAX_FILE_BYTES // 1_000_000  # a larger one is refused by the browser with a sentence
TYPES = ("yaml", "yml", "json")


def read(content: bytes, name: str) -> Scenario | list[str]:
    """The scenario of an uploaded file, or sentences saying what is wrong with it."""
    try:
        return scenario.loads(content.decode("utf-8"), name=name)
    except UnicodeDecodeError:
        return ["it is not UTF-8 text; save it as YAML"]
    except RequirementsError as error:
        return error.problems
