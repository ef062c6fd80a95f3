"""The scenario's file: the requirements file with a name; and what no file may do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor import scenario, yaml_input
from advisor.errors import InputError, RequirementsError
from advisor.plain_text import lines, one_line
from advisor.presets import presets
from advisor.requirements import MAX_FILE_BYTES, loads
from advisor.scenario import Scenario

NEED = presets()["fraud-detection"].requirements
BODY = scenario.dumps(Scenario(NEED))


@settings(max_examples=40, deadline=None)
@given(name=st.text(max_size=60), notes=st.text(max_size=200))
def test_name_and_notes_come_back(name: str, notes: str) -> None:
    text = scenario.dumps(Scenario(NEED, name, notes))
    back = scenario.loads(text)
    assert back.requirements == NEED
    assert back.name == one_line(name)
    assert back.notes == lines(notes)


def test_whatever_reads_requirements_reads_a_scenario() -> None:
    assert loads(scenario.dumps(Scenario(NEED, "Ours", "=cmd"))) == NEED
    assert scenario.loads(BODY) == Scenario(NEED)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("name: 12\n", "name is 12; it must be text"),
        ("name: [a, b]\n", "it must be text"),
        (f"name: {'x' * 81}\n", "name has 81 characters"),
        (f"notes: {'x' * 4001}\n", "notes has 4,001 characters"),
        ("nmae: x\n", "nmae is not a known key"),
    ],
)
def test_bad_labels_are_refused_in_a_sentence(head: str, said: str) -> None:
    with pytest.raises(RequirementsError, match="(?s).*" + said):
        scenario.loads(head + BODY)


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"b{i}: &b{i} [{', '.join([f'*b{i - 1}' if i else '*a'] * 9)}]\n" for i in range(12)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "line 1 has an anchor or an alias"),
        ("[" * 400_000, "more than 20 levels"),
        ("- " * 400_000, "more than 20 levels"),
        ("{a: " * 200_000, "more than 20 levels"),
        ("".join(f"a{i}: 1\n" for i in range(60_000)), "more than 20,000 values"),
        ("a: 1\n" * 190_000, "has 'a' twice, in lines 1 and 2"),
        ("x: " + "9" * 100_000, "not valid YAML"),
        ("x: !!python/object/apply:os.system [true]", "the tag"),
        ("x: !!int ''", "the tag"),
        ("x: 2026-99-99", "not valid YAML"),
        ("model: [", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("x: \x00", "not valid YAML"),
        ("? [1, 2]\n: 3", "not valid YAML"),
    ],
)
def test_a_hostile_file_is_a_sentence(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        yaml_input.read(text)


def test_ten_megabytes_are_refused_unread(tmp_path) -> None:
    big = tmp_path / "big.yaml"
    big.write_bytes(b"a: 1\n" * 2_000_000)
    with pytest.raises(RequirementsError, match="10,000,000 bytes"):
        scenario.load(big)
    with pytest.raises(RequirementsError, match="larger than 1 MB"):
        scenario.loads("#" * (MAX_FILE_BYTES + 1))


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=300))
def test_no_text_is_more_than_a_sentence(text: str) -> None:
    with pytest.raises(RequirementsError):
        scenario.loads(text)


def test_the_schema_knows_the_labels() -> None:
    properties = scenario.schema()["properties"]
    assert properties["name"]["maxLength"] == 80
    assert {"notes", "model", "traffic"} <= set(properties)
