"""Renewing the price book from the vendors' own price lists."""

from advisor.prices.refresh.feed import Report, Step
from advisor.prices.refresh.run import PROVIDERS, WAYS, Outcome, refresh

__all__ = ["PROVIDERS", "WAYS", "Outcome", "Report", "Step", "refresh"]
