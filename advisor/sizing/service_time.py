"""The distribution of service times that a mean and a variability stand for.

cv = 0 (below 0.01): every request takes the same time. cv <= 1: gamma, which is Erlang where
1 / cv^2 is whole and exponential at cv = 1. cv > 1: lognormal, whose long tail is that of requests
that differ in size by orders of magnitude. Everything is in units of the mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from advisor.errors import InputError

Floats = NDArray[np.float64]

CONSTANT_BELOW = 0.01
LOWEST = 1e-3  # the shortest share of requests is lumped together at its upper end
HIGHEST = 1e-7


@dataclass(frozen=True)
class ServiceTime:
    """Service time over its mean, by coefficient of variation."""

    cv: float

    def __post_init__(self) -> None:
        if not 0 <= self.cv < math.inf:
            raise InputError(f"cv is {self.cv!r}; give a coefficient of variation of 0 or more")

    @property
    def constant(self) -> bool:
        return self.cv < CONSTANT_BELOW

    @property
    def heavy(self) -> bool:
        return self.cv > 1

    @property
    def third_moment(self) -> float:
        """E[S^3] / E[S]^3, as the wait should see it.

        Above cv = 1 that of the hyperexponential with balanced means, to which the gamma leads
        over: the lognormal's own, (1 + cv^2)^3, comes from requests so rare that they do not move
        a percentile, and made p95 at cv = 2 too high by up to 20 %.
        """
        scv = self.cv * self.cv
        if not self.heavy:
            return (1 + scv) * (1 + 2 * scv)
        p = (1 + math.sqrt((scv - 1) / (scv + 1))) / 2
        return 0.75 * (1 / p**2 + 1 / (1 - p) ** 2)

    def tail(self, time: Floats) -> Floats:
        """P(S > time)."""
        if self.constant:
            return np.where(time < 1, 1.0, 0.0)
        safe = np.maximum(time, 1e-300)
        if self.heavy:
            return np.asarray(special.ndtr((self._mu - np.log(safe)) / self._sigma))
        return np.asarray(special.gammaincc(self._alpha, self._alpha * safe))

    def tail_at(self, time: float) -> float:
        """`tail` of one time."""
        if time <= 0:
            return 1.0
        if self.constant:
            return 1.0 if time < 1 else 0.0
        if self.heavy:
            return float(special.ndtr((self._mu - math.log(time)) / self._sigma))
        return float(special.gammaincc(self._alpha, self._alpha * time))

    def upper_quantile(self, share: float) -> float:
        """The time that a share of the requests exceeds."""
        if self.constant:
            return 1.0
        if self.heavy:
            return math.exp(self._mu - self._sigma * float(special.ndtri(share)))
        return float(special.gammainccinv(self._alpha, share)) / self._alpha

    def quadrature(self, upto: Floats, nodes: int) -> tuple[Floats, Floats]:
        """Times and weights for the integral of dF over times below `upto`; (n, nodes + 1) each.

        Gauss-Legendre in the logarithm of the time, where both families are smooth humps.
        """
        low, high = self._window
        points, weights = _legendre(nodes)
        top = np.clip(np.log(np.maximum(upto, 1e-300)), low, high)
        half = (top - low) / 2
        y = low + half[:, None] * (points + 1)
        time = np.exp(y)
        mass = half[:, None] * weights * self._log_density(y, time)
        shortest = np.minimum(upto, math.exp(low))
        share = np.minimum(1 - self.tail(upto), LOWEST)
        return (
            np.concatenate([shortest[:, None], time], axis=1),
            np.concatenate([share[:, None], mass], axis=1),
        )

    def _log_density(self, y: Floats, time: Floats) -> Floats:
        """Density of log S at y = log(time)."""
        if self.heavy:
            z = (y - self._mu) / self._sigma
            return np.asarray(np.exp(-z * z / 2) / (self._sigma * math.sqrt(2 * math.pi)))
        a = self._alpha
        start = a * math.log(a) - float(special.gammaln(a))
        return np.asarray(np.exp(start + a * (y - time)))

    @property
    def _window(self) -> tuple[float, float]:
        return _window(self.cv)

    @property
    def _alpha(self) -> float:
        return 1 / (self.cv * self.cv)

    @property
    def _sigma(self) -> float:
        return math.sqrt(math.log1p(self.cv * self.cv))

    @property
    def _mu(self) -> float:
        return -math.log1p(self.cv * self.cv) / 2


def gamma_tail(shape: Floats, x: Floats) -> Floats:
    """P(X > x) of a gamma distribution with scale 1.

    For small shapes by Q(k, x) = Q(k + 1, x) - x^k e^-x / Gamma(k + 1), many times quicker there.
    """
    shape, x = np.broadcast_arrays(shape, x)
    if shape.size == 0 or shape.min() >= 1:
        return np.asarray(special.gammaincc(shape, x))
    raised = np.where(shape < 1, shape + 1, shape)
    tail = special.gammaincc(raised, x)
    with np.errstate(divide="ignore"):
        step = np.exp(special.xlogy(shape, x) - x - special.gammaln(shape + 1))
    return np.asarray(np.where(shape < 1, np.maximum(tail - step, 0.0), tail))


def gamma_upper_quantile(shape: Floats, share: Floats) -> Floats:
    """The value that a gamma variable with scale 1 exceeds with probability `share`."""
    return np.asarray(special.gammainccinv(shape, share))


@lru_cache(maxsize=256)
def _window(cv: float) -> tuple[float, float]:
    service = ServiceTime(cv)
    return (
        math.log(service.upper_quantile(1 - LOWEST)),
        math.log(service.upper_quantile(HIGHEST)),
    )


@lru_cache(maxsize=8)
def _legendre(nodes: int) -> tuple[Floats, Floats]:
    points, weights = np.polynomial.legendre.leggauss(nodes)
    return points, weights
