"""`python -m advisor workload`: measured traffic as answers, in a terminal."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from advisor.errors import InputError, RequirementsError
from advisor.requirements import MAX_FILE_BYTES, parse

PROGRESS_EVERY = 0.01  # of the file


def add_parser(commands: Any) -> None:
    """The command `workload` with its options."""
    parser = commands.add_parser(
        "workload", help="the traffic section from a CSV of times or counts, or from CloudWatch"
    )
    parser.add_argument("file", nargs="?", type=Path, help="a CSV file, plain or gzip")
    parser.add_argument(
        "--cloudwatch",
        metavar="SOURCE",
        help="sagemaker:ENDPOINT/VARIANT, lambda:FUNCTION, api:NAME-OR-ID or alb:app/NAME/ID",
    )
    parser.add_argument("--region", help="of CloudWatch; left out: that of the AWS configuration")
    parser.add_argument("--weeks", type=int, default=15, help="of CloudWatch, 1 to 15")
    parser.add_argument("--timezone", default="UTC", help="of times without an offset")
    parser.add_argument(
        "--gaps", choices=("zero", "leave-out"), help="what hours without a row are"
    )
    parser.add_argument("--duplicates", choices=("sum", "first"), default="sum")
    order = parser.add_mutually_exclusive_group()
    order.add_argument("--day-first", action="store_true", default=None)
    order.add_argument("--month-first", action="store_true")
    parser.add_argument(
        "--decimal", choices=("point", "comma"), help="what decimals of counts stand after"
    )
    parser.add_argument("--time-column", metavar="NAME")
    parser.add_argument("--count-column", metavar="NAME")
    parser.add_argument("--into", type=Path, metavar="REQUIREMENTS", help="put the answers there")
    parser.add_argument("--format", choices=("text", "json", "yaml"), default="text")
    parser.add_argument(
        "--progress", action="store_true", help="a line on stderr for each hundredth"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Import, print, and write where asked. Raises InputError."""
    from advisor.workload_import.csv_file import ReadOptions, read_csv
    from advisor.workload_import.text import summary

    if (arguments.file is None) == (arguments.cloudwatch is None):
        raise InputError("give either a CSV file or --cloudwatch SOURCE")
    if arguments.cloudwatch:
        from advisor.workload_import.cloudwatch import read_cloudwatch

        found = read_cloudwatch(arguments.cloudwatch, arguments.region, weeks=arguments.weeks)
    else:
        found = read_csv(
            arguments.file,
            ReadOptions(
                timezone=arguments.timezone,
                gaps=arguments.gaps,
                duplicates=arguments.duplicates,
                day_first=False if arguments.month_first else arguments.day_first,
                decimal=arguments.decimal,
                time_column=arguments.time_column,
                count_column=arguments.count_column,
            ),
            progress=_Progress() if arguments.progress else None,
        )
    if arguments.into is not None:
        put_into(arguments.into, found.answers())
    if arguments.format == "json":
        print(json.dumps(found.model_dump(mode="json"), indent=2, ensure_ascii=False))
    elif arguments.format == "yaml":
        print(_yaml({"traffic": found.answers()}), end="")
    else:
        print(summary(found))
        if arguments.into is not None:
            print(f"\nThe traffic was written into {arguments.into}.")
    return 0


def put_into(path: Path, traffic: dict[str, Any]) -> None:
    """Write the answers into a requirements file; a new one gets the traffic alone.

    Everything else in the file stays, but comments do not. Raises InputError for a file that is
    none, or that the traffic would contradict; the file is then as it was.
    """
    if not path.exists():
        head = "# Add the model: format, size_mb, memory_mb and service_time_ms (or model_class).\n"
        _write(path, head + _yaml({"traffic": {"mode": "realtime", **traffic}}))
        return
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{path} is larger than 1 MB; requirements are a few lines")
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        said = " ".join(str(error).split())[:160]
        raise InputError(f"{path} cannot be read as requirements: {said}; correct it") from None
    if not isinstance(data, dict) or not isinstance(data.get("traffic") or {}, dict):
        raise InputError(f"{path} holds no requirements; name a file with model and traffic")
    data["traffic"] = {"mode": "realtime", **(data.get("traffic") or {}), **traffic}
    if "model" in data:
        try:
            parse(data)
        except RequirementsError as error:
            raise InputError(
                f"{path} with this traffic would not hold: {error}; it is as it was"
            ) from None
    _write(path, _yaml(data))


class _Progress:
    def __init__(self) -> None:
        self._said = -1

    def __call__(self, read: int, size: int) -> None:
        percent = int(100 * read / size) if size else 100
        if percent > self._said:
            self._said = percent
            print(f"progress {percent}", file=sys.stderr, flush=True)


class _Dumper(yaml.SafeDumper):
    """Lists of numbers on few lines: a week is 168 of them."""


_Dumper.add_representer(
    list,
    lambda dumper, data: dumper.represent_sequence(
        "tag:yaml.org,2002:seq", data, flow_style=all(isinstance(v, (int, float)) for v in data)
    ),
)


def _yaml(data: dict[str, Any]) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _write(path: Path, text: str) -> None:
    try:
        aside = path.with_name(path.name + ".new")
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; name another file") from None
