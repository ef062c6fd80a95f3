"""Every error that a user may see, in one tree.

Each message is one sentence that names what was wrong, the value, and what to do about it.
"""

from __future__ import annotations


class AdvisorError(Exception):
    """Root of all errors meant for a person; `str(error)` is fit to show."""

    exit_code = 1


class InputError(AdvisorError, ValueError):
    """What was given is wrong; nothing was changed. The terminal exits with 2."""

    exit_code = 2


class RequirementsError(InputError):
    """The requirements do not validate. `problems` holds one sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class RuleError(InputError):
    """A rule file is wrong: a name that does not exist, a type that does not fit, a duplicate."""


class NothingFitsError(AdvisorError):
    """No option meets the requirements, so there is nothing to plan. The terminal exits with 3."""

    exit_code = 3


class WhatIfCancelledError(AdvisorError):
    """A what-if was stopped before it was done, because nobody waits for it any more."""


class CatalogError(AdvisorError):
    """The comparison table shipped with the product is damaged."""


class PriceBookError(AdvisorError):
    """The price book shipped with the product is damaged or missing."""


class PriceRefreshError(AdvisorError):
    """Prices could not be renewed; the message says why. The book in use is untouched."""


class PriceFeedError(PriceRefreshError, InputError):
    """A price list that cannot be used: another currency, another layout, cut short."""

    exit_code = 2


class PricesRefusedError(PriceRefreshError, InputError):
    """The prices that were read are not accepted unseen. `findings` holds one sentence for each."""

    exit_code = 2

    def __init__(self, message: str, findings: list[str]) -> None:
        self.findings = findings
        super().__init__(message)


class RefreshCancelledError(PriceRefreshError):
    """Somebody cancelled the refresh; what was downloaded is kept for the next one."""


class UnknownPriceError(AdvisorError, KeyError):
    """A price that the book does not hold. Costs turn it into an "unit price unknown" line."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else "unknown price"


class ArtifactError(InputError):
    """The model file cannot be used: unknown format, unsafe content, damaged."""


class UnsafeArtifactError(ArtifactError):
    """The model file asks for code outside the allow-list. Nothing of it was executed."""


class UnknownCodeError(UnsafeArtifactError):
    """All that is outside the allow-list is unknown code, which a person may accept.

    `findings`: what the safety check found, in sentences.
    """

    def __init__(self, message: str, findings: list[str]) -> None:
        self.findings = findings
        super().__init__(message)


class DeployError(AdvisorError):
    """A deployment step failed; the message says what was left behind."""


class PreflightError(DeployError, InputError):
    """The plan cannot be carried out here: credentials, quota, a busy port, a clash of names."""

    exit_code = 2


class DeploymentNotFoundError(DeployError, InputError):
    """No deployment goes by that name."""

    exit_code = 2


class StalePlanError(DeployError, InputError):
    """The plan no longer fits what is out there; plan again."""

    exit_code = 2


class RunCancelledError(DeployError):
    """Somebody cancelled the run; what it had created is taken away again."""


class TrafficError(InputError):
    """Measured traffic cannot be read: a file that is no table of times, a metric without data."""
