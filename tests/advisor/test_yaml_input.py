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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("service: {a: 1}\nmodel: {}\nservice: {a: 3}\n", "'service' twice, in lines 1 and 3"),
        ('{"a": {"b": 1, "b": 2}}', "'b' twice, in lines 1 and 1"),
        ("- {x: 1}\n- y: 1\n  z: [1, 1]\n  y: 2\n", "'y' twice, in lines 2 and 4"),
    ],
)  # fmt: skip
def test_a_key_that_stands_there_twice_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError) as found:
        read(text)
    assert said in str(found.value)


def test_the_same_word_may_be_a_key_in_several_places() -> None:
    text = "a: {a: a, b: [a, a]}\nb: {a: a}\n? [a, b]\n: a\nc: [{a: 1}, {a: 1}]\n"
    with pytest.raises(InputError, match="not valid"):  # a list is no key, for plain data
        read(text)
    assert read(text.replace("? [a, b]\n: a\n", ""))["c"] == [{"a": 1}, {"a": 1}]
