"""Compiling a rule: every name, type and value in it is checked before it is ever asked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from cel_expr_python import cel

from advisor.catalog.loader import fact_kinds, load_options
from advisor.errors import RuleError
from advisor.rule_fields import FieldType, answer_paths, answer_type, fields, known_texts
from advisor.rule_file import FACT_SOURCE, Relax, Rule
from advisor.rule_text import names_in, stray_brace

LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
NAME = re.compile(r"\b(?:need|option|plan|assume)\.[a-z0-9_]+")
_WHERE = re.compile(r"<input>:(\d+):(\d+): ([^\n|]*)")
_UNLIKE = re.compile(r"no matching overload for '([^']+)' applied to '\((.*)\)'")
_SYMBOL = re.compile(r"Syntax error: (?:token recognition error at:|mismatched input|extraneous input) "
                     r"'([^']*)'")  # fmt: skip
_KINDS = {
    "string": "a text", "bool": "true or false", "int": "a number without a decimal point",
    "double": "a number", "list(string)": "a list",
}  # fmt: skip
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_QUOTED = r'"([^"\\]*)"|\'([^\'\\]*)\''
_COMPARED = (
    re.compile(rf"\b((?:need|option)\.[a-z0-9_]+)\s*[!=]=\s*(?:{_QUOTED})"),
    re.compile(rf"(?:{_QUOTED})\s*[!=]=\s*((?:need|option)\.[a-z0-9_]+)"),
    re.compile(rf"(?:{_QUOTED})\s+in\s+((?:need|option)\.[a-z0-9_]+)"),
)
_AMONG = re.compile(r"\b((?:need|option)\.[a-z0-9_]+)\s+in\s+\[([^\]]*)\]")


@dataclass(frozen=True)
class Checked:
    """A compiled rule: its file, its policy ("" for the built-in ones), and the fields it names;
    `asks` are those in its condition alone."""

    rule: Rule
    file: str
    policy: str
    when: cel.Expression
    relax: tuple[tuple[str, cel.Expression, cel.Expression | None], ...]
    names: frozenset[str]
    asks: frozenset[str]


@cache
def environment() -> cel.Env:
    """A CEL environment in which every field of `rule_fields` is a typed variable."""
    kinds: Mapping[FieldType, cel.Type] = {
        "number": cel.Type.DOUBLE,
        "flag": cel.Type.BOOL,
        "text": cel.Type.STRING,
        "list": cel.Type.List(cel.Type.STRING),
    }
    return cel.NewEnv(variables={name: kinds[kind] for name, kind in fields().items()})


def check(env: cel.Env, rule: Rule, file: str, policy: str) -> Checked:
    """The rule compiled. Raises RuleError naming file, rule and place."""
    place = f"{file}: rule {rule.id!r}"
    _check_filters(rule, place)
    _check_source(rule, place, bool(policy))
    names = set(_check_template(rule, place))
    when = _condition(env, rule, place)
    asks = frozenset(_names(rule.condition))
    names |= asks
    relax = []
    for change in rule.relax:
        relax.append(_relax(env, change, f"{place}, relax {change.field}"))
        names |= _names(change.to) | _names(change.when or "")
    late = sorted(n for n in names if n.startswith("plan.")) if rule.phase == "need" else []
    if late:
        raise RuleError(f"{place} names {late[0]}, which is known after sizing; set phase: plan")
    return Checked(rule, file, policy, when, tuple(relax), frozenset(names), asks)


def truth(one: Checked, expression: cel.Expression, activation: cel.Activation) -> bool:
    """Whether the condition holds. Raises RuleError when it fails: an error is never a no."""
    value = plain_value(one, expression, activation)
    if not isinstance(value, bool):
        raise RuleError(
            f"{one.file}: rule {one.rule.id!r} failed: {value}; make its condition hold for every "
            "value of its fields"
        )
    return value


def plain_value(one: Checked, expression: cel.Expression, activation: cel.Activation) -> object:
    """What an expression of the rule gives. Raises RuleError where it takes too long."""
    try:
        return expression.eval(activation).plain_value()
    except RuntimeError as error:
        said = " ".join(str(error).split())[:200]
        raise RuleError(
            f"{one.file}: rule {one.rule.id!r} failed: {said}; make the expression simpler"
        ) from None


def _check_filters(rule: Rule, place: str) -> None:
    known = load_options()
    for option_id in (*rule.options, *rule.except_):
        if option_id not in known:
            raise RuleError(f"{place}: there is no option {option_id!r}; {_hint(option_id, known)}")
    if not any(rule.applies_to(option) for option in known.values()):
        raise RuleError(f"{place}: its filters let no option through; widen them")


def _check_source(rule: Rule, place: str, is_policy: bool) -> None:
    name = rule.source.removeprefix(FACT_SOURCE)
    if rule.source.startswith(FACT_SOURCE):
        if name not in fact_kinds():
            raise RuleError(f"{place}: there is no fact {name!r}; {_hint(name, fact_kinds())}")
        lacking = [
            o.id for o in load_options().values() if rule.applies_to(o) and name not in o.facts
        ]
        if lacking:
            raise RuleError(f"{place}: option {lacking[0]} has no fact {name!r} to cite; narrow it")
    elif not rule.source and not is_policy:
        raise RuleError(f"{place} has no source; name a key of sources.yaml or fact:<name>")


def _check_template(rule: Rule, place: str) -> tuple[str, ...]:
    names = names_in(rule.sentence)
    for name in names:
        if name not in fields():
            raise RuleError(
                f"{place}, because: {name!r} is not a known field; {_hint(name, fields())}"
            )
    if stray_brace(rule.sentence):
        raise RuleError(f"{place}, because: a brace without a field; write {{need.request_mb}}")
    return names


def _condition(env: cel.Env, rule: Rule, place: str) -> cel.Expression:
    """When it fires. Each part is compiled by itself first, so that its own place is named."""
    _boolean(env, rule.when, f"{place}, when")
    if rule.that is not None:
        _boolean(env, rule.that, f"{place}, that")
    if rule.figure is not None:
        _check_figure(rule.figure, f"{place}, figure")
    _compiled(env, f"[({rule.condition}\n)]", place)  # as it is asked, with all the others
    return _boolean(env, rule.condition, place)


def _check_figure(figure: str, place: str) -> None:
    numbers = [name for name, kind in fields().items() if kind == "number"]
    if figure not in fields():
        raise RuleError(f"{place}: {figure!r} is not a known field; {_hint(figure, numbers)}")
    if figure not in numbers:
        raise RuleError(f"{place}: {figure} is a {fields()[figure]}, not a number; cap a number")


def _boolean(env: cel.Env, text: str, place: str) -> cel.Expression:
    expression = _compiled(env, text, place)
    kind = expression.return_type()
    if kind != cel.Type.BOOL:
        raise RuleError(f"{place}: {text!r} gives {_said(kind)}, not true or false; compare it")
    return expression


def _relax(
    env: cel.Env, change: Relax, place: str
) -> tuple[str, cel.Expression, cel.Expression | None]:
    kind = answer_type(change.field)
    if kind is None:
        raise RuleError(
            f"{place}: {change.field!r} is not a requirement; {_hint(change.field, answer_paths())}"
        )
    to = _compiled(env, change.to, f"{place}, to")
    wanted, optional, _ = kind
    fitting = {
        "number": [cel.Type.DOUBLE],
        "flag": [cel.Type.BOOL],
        "text": [cel.Type.STRING],
        "list": [cel.Type.STRING, cel.Type.List(cel.Type.STRING)],
    }[wanted] + ([cel.Type.NULL] if optional else [])
    if to.return_type() not in fitting:
        raise RuleError(
            f"{place}, to: {change.to!r} gives {_said(to.return_type())}, but {change.field} is a "
            f"{wanted}; give it one"
        )
    when = _boolean(env, change.when, f"{place}, when") if change.when else None
    return change.field, to, when


def _compiled(env: cel.Env, text: str, place: str) -> cel.Expression:
    try:
        expression = env.compile(text)
    except RuntimeError as error:
        raise RuleError(f"{place}: {_compile_error(str(error))}") from None
    for name, literal in _compared(text):
        possible = known_texts().get(name)
        if possible is not None and literal not in possible:
            raise RuleError(
                f"{place}: {name} is never {literal!r}; it is one of {', '.join(sorted(possible))}"
            )
    return expression


def _compared(text: str) -> list[tuple[str, str]]:
    """(field, text) for every text that a field is compared with."""
    found = [
        (next(g for g in groups if g.startswith(("need.", "option."))), _text_of(groups))
        for pattern in _COMPARED
        for groups in pattern.findall(text)
    ]
    for name, listed in _AMONG.findall(text):
        found += [(name, quoted[1:-1]) for quoted in LITERAL.findall(listed)]
    return found


def _text_of(groups: tuple[str, ...]) -> str:
    return next((g for g in groups if g and not g.startswith(("need.", "option."))), "")


def _compile_error(said: str) -> str:
    """The first problem that CEL names, with its place and what to do about it."""
    match = _WHERE.search(said)
    if "recursion limit" in said or "Iteration budget" in said:
        return "the expression is nested too deeply or loops too often; make it simpler"
    if match is None:
        return " ".join(said.split())[:200]
    line, column, message = match[1], match[2], match[3].strip()
    where = f"line {line}, column {column}"
    undeclared = _UNDECLARED.search(message)
    if undeclared:
        name = undeclared[1]
        return f"{where}: {name!r} is not a known field; {_hint(name, fields())}"
    return f"{where}: {_in_plain_words(message)}"


def _in_plain_words(message: str) -> str:
    unlike = _UNLIKE.search(message)
    if unlike:
        sign = unlike[1].replace("_", " ").strip()
        kinds = [part.strip() for part in unlike[2].split(",")]
        given = " and ".join(_KINDS.get(kind, kind) for kind in kinds)
        if sorted(kinds) == ["double", "int"]:
            return f"{sign!r} does not go with {given}; numbers have a decimal point, 25.0"
        return f"{sign!r} does not go with {given}; give it values of one kind"
    if "input '<EOF>'" in message:
        return "the expression ends too early; complete it"
    symbol = _SYMBOL.search(message)
    if symbol:
        return (
            f"{symbol[1].strip()!r} cannot stand here; compare with == != < <= > >= or in, join with "
            "&& and ||, negate with !"
        )
    return message


def _names(text: str) -> set[str]:
    return set(NAME.findall(LITERAL.sub("''", text)))


def _said(kind: cel.Type) -> str:
    return str(kind.name()).lower()


def _hint(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    same = [n for n in names if n.split(".")[0] == name.split(".")[0]]
    return f"use one such as {', '.join((same or names)[:6])}"
