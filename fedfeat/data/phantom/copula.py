"""The Gaussian copula of the findings: pair counts to tetrachoric correlations to one positive definite matrix."""

from functools import cache
from statistics import NormalDist

import numpy as np

from fedfeat.data.phantom.sites import (
    ASSUMED_CORRELATION,
    COUPLING,
    FINDINGS,
    XRAY14_IMAGES,
    XRAY14_PAIRS,
    XRAY14_POSITIVE,
)

_SMALLEST_EIGENVALUE = 0.05  # ours: keeps the Cholesky factor well conditioned
_NORMAL = NormalDist()


def upper_threshold(share: float) -> float:
    """Return the t with P(z > t) = `share` for a standard normal z; `share` in (0, 1)."""
    return _NORMAL.inv_cdf(1.0 - share)


def both_above(a: float, b: float, correlation: float) -> float:
    """Return P(x > a, y > b) of a standard bivariate normal (Plackett's integral over the correlation).

    Gauss-Legendre with 48 nodes: the error is below 1e-8 for |correlation| <= 0.95.
    """
    nodes, weights = np.polynomial.legendre.leggauss(48)
    r = 0.5 * correlation * (nodes + 1.0)
    density = np.exp(-(a * a - 2.0 * r * a * b + b * b) / (2.0 * (1.0 - r * r))) / (2.0 * np.pi * np.sqrt(1.0 - r * r))
    independent = (1.0 - _NORMAL.cdf(a)) * (1.0 - _NORMAL.cdf(b))
    return float(independent + 0.5 * correlation * (weights @ density))


def tetrachoric(first: float, second: float, both: float) -> float:
    """Return the correlation in [-0.95, 0.95] of the latent normals, given three shares in (0, 1), by bisection."""
    a, b = upper_threshold(first), upper_threshold(second)
    low, high = -0.95, 0.95
    for _ in range(50):
        middle = 0.5 * (low + high)
        if both_above(a, b, middle) < both:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@cache
def correlation_factor(site: str) -> np.ndarray:
    """Return the (13, 13) lower Cholesky factor of the correlations between `FINDINGS` at a site.

    The pairs' correlations, each estimated on its own, need not form a valid matrix: small eigenvalues are raised and
    the diagonal is set back to 1.
    """
    matrix = np.eye(len(FINDINGS))
    pairs = {
        (one, two): tetrachoric(
            XRAY14_POSITIVE[one] / XRAY14_IMAGES, XRAY14_POSITIVE[two] / XRAY14_IMAGES, count / XRAY14_IMAGES
        )
        for (one, two), count in XRAY14_PAIRS.items()
    }
    for (one, two), value in {**ASSUMED_CORRELATION, **pairs}.items():
        i, j = FINDINGS.index(one), FINDINGS.index(two)
        matrix[i, j] = matrix[j, i] = COUPLING[site] * value
    values, vectors = np.linalg.eigh(matrix)
    matrix = (vectors * np.maximum(values, _SMALLEST_EIGENVALUE)) @ vectors.T
    scale = 1.0 / np.sqrt(np.diag(matrix))
    return np.linalg.cholesky(matrix * scale[:, None] * scale[None, :])
