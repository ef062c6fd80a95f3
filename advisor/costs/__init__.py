"""Costs: one small module per priced thing, each turning a sized option into cost lines.

An option names its priced things in its `bill:` list; `bill()` runs them in that order. A new
priced thing is a new module here with a `lines(Bill)` function, and its name in an option's YAML.
"""

from advisor.costs.bill import Bill, bill, lines_of, sum_usd, sums_usd, total, written_out
from advisor.costs.line import Amount, Line

__all__ = [
    "Amount",
    "Bill",
    "Line",
    "bill",
    "lines_of",
    "sum_usd",
    "sums_usd",
    "total",
    "written_out",
]
