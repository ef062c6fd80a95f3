"""What is wrong with requirements: contradictions between answers, and errors as sentences."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from advisor.vocabulary import HOURS_IN_MONTH, HOURS_IN_WEEK, Cloud, Hosting, Mode, Pattern

if TYPE_CHECKING:
    from advisor.requirements import Requirements

# Parts of an error's path that name a branch of a union, not a key of the file; so do those that say
# of what, like "tuple[float, ...]".
UNION_BRANCHES = {"enum", "Pattern", "lax-or-strict"}


def contradictions(need: Requirements) -> list[str]:
    """Pairs of answers that cannot both hold, a sentence for each."""
    problems = []
    model, traffic, service, place = need.model, need.traffic, need.service, need.placement
    if model.service_time_ms is None and model.model_class is None:
        problems.append(
            "model.service_time_ms is missing; give the milliseconds of one request, or name a "
            "model.model_class"
        )
    if traffic.mode is Mode.realtime and service.p95_ms is None:
        problems.append("service.p95_ms is missing; real-time traffic needs a response-time target")
    if model.gpu_memory_gb is not None and not model.gpu:
        problems.append(
            f"model.gpu_memory_gb is {model.gpu_memory_gb:g} but model.gpu is false; set model.gpu "
            "to true or drop gpu_memory_gb"
        )
    own = {Cloud.own_hardware, Cloud.kubernetes}
    if model.gpu and set(place.clouds) <= own and not place.node_gpu:
        where = " and ".join(c.value for c in place.clouds)
        problems.append(
            f"model.gpu is true but placement.clouds is only {where} and placement.node_gpu is "
            "false; set node_gpu to true, allow a cloud, or set model.gpu to false"
        )
    if (
        need.control.hosting is Hosting.managed
        and set(place.clouds) <= own
    ):  # fmt: skip
        problems.append(
            "control.hosting is managed but placement.clouds names no cloud with a managed service; "
            "add aws, gcp or azure, or set hosting to any"
        )
    if (
        service.max_processing_s is not None
        and model.service_time_ms is not None
        and service.max_processing_s * 1000 < model.service_time_ms
    ):
        problems.append(
            f"service.max_processing_s is {service.max_processing_s:g} s but one request takes "
            f"{model.service_time_ms / 1000:g} s (model.service_time_ms); raise max_processing_s"
        )
    if traffic.peak_requests_per_second is not None:
        month_s = HOURS_IN_MONTH * 3600
        average = traffic.requests_per_month / month_s
        if traffic.peak_requests_per_second < average:
            problems.append(
                f"traffic.peak_requests_per_second is {traffic.peak_requests_per_second:g} but "
                f"requests_per_month is already {average:.3g} a second on average; raise the peak"
            )
        if traffic.peak_requests_per_second * 3600 * HOURS_IN_MONTH / HOURS_IN_WEEK > (
            traffic.requests_per_month
        ):
            problems.append(
                f"traffic.peak_requests_per_second is {traffic.peak_requests_per_second:g}, more in "
                "one hour a week than requests_per_month in all; lower the peak or raise the month"
            )
    return problems


def sentences(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """One sentence for each problem: the path, what is wrong, the value."""
    out: list[str] = []
    for item in error.errors():
        kind, value = item["type"], item.get("input")
        wrong_key = kind == "extra_forbidden"  # that may be called anything
        path = ".".join(str(part) for part in item["loc"] if wrong_key or not _is_branch(part))
        if wrong_key:
            out.append(f"{path} is not a known key; {_known_keys(item['loc'], root)}")
        elif kind == "missing":
            out.append(f"{path} is missing; it is required")
        elif kind == "value_error":
            message = str(item["ctx"]["error"])
            out.extend(f"{path} {line}".strip() if path else line for line in message.split("\n"))
        elif kind in ("dict_type", "model_type", "model_attributes_type"):
            out.append(
                f"{path or 'the file'} is {_short(value)}; {_names_below(item['loc'], root)}"
            )
        elif path == "traffic.pattern":
            names = ", ".join(p.value for p in Pattern)
            out.append(f"traffic.pattern is {_short(value)}; use {names}, or 168 numbers")
        elif kind == "float_parsing" and (unit := _unit(item["loc"], root)):
            out.append(f"{path} is {_short(value)}; give a plain number, in {unit}")
        else:
            said = item["msg"][0].lower() + item["msg"][1:]
            out.append(f"{path} is {_short(value)}; {said}")
    return list(dict.fromkeys(out))


def _is_branch(part: int | str) -> bool:
    return part in UNION_BRANCHES or "[" in str(part)


def _known_keys(loc: tuple[int | str, ...], root: type[BaseModel]) -> str:
    fields = _section(loc, root)
    if not fields:
        return "remove it"
    close = difflib.get_close_matches(str(loc[-1]), fields, n=2, cutoff=0.7)
    meant = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{meant}known here: {', '.join(fields)}"


def _names_below(loc: tuple[int | str, ...], root: type[BaseModel]) -> str:
    known = ", ".join(list(_section((*loc, ""), root))[:3])
    return f"write names and values below it ({known} …)" if known else "write names and values"


def _unit(loc: tuple[int | str, ...], root: type[BaseModel]) -> str:
    """The unit of the answer; "" where it has none."""
    field = _section(loc, root).get(str(loc[-1]))
    extra = field.json_schema_extra if field else None
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def _section(loc: tuple[int | str, ...], root: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of the section that holds this path."""
    section: Any = root
    for part in loc[:-1]:
        field = section.model_fields.get(part) if hasattr(section, "model_fields") else None
        section = field.annotation if field else None
    found: dict[str, FieldInfo] = getattr(section, "model_fields", {})
    return found


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
