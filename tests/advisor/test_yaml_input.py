"""YAML and JSON from people: what is read as it was meant."""

from __future__ import annotations

import json

import pytest

from advisor.errors import InputError
from advisor.yaml_input import read


@pytest.mark.parametrize(
    "value",
    ["🎉", "a 🎉 b 👩‍💻", "\\🎉", "\\ud83c\\udf89", "é \u2028", "", '"', "𝒜" * 50],
)
def test_json_with_escapes_is_read_as_json_reads_it(value: str) -> None:
    text = json.dumps({"name": value, value + "x": [value]})  # ASCII: two escapes for each emoji
    assert read(text) == json.loads(text)


@pytest.mark.parametrize("text", ['{"a": "\\ud83c"}', '{"a": "\\udf89\\ud83c"}'])
def test_half_a_pair_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not valid YAML or JSON"):
        read(text)


def test_a_backslash_of_a_sentence_stays_one() -> None:
    assert read(r"name: 'as \ud83c\udf89 is written'") == {"name": r"as \ud83c\udf89 is written"}
