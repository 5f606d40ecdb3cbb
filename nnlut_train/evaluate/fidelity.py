"""How good a model's answers are, and how near they are to the exact model's.

The task's metric (Spearman's rank correlation with the gold scores, or accuracy) says what a user
notices; it may rise while the answers drift away. Fidelity says how far they drifted, and needs no
labels.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from ..errors import UsageError

__all__ = [
    "Result", "accuracy", "agreement", "correct", "divergence", "mean_cosine", "spearman",
    "unit_ranks",
]  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What one way of computing a model gave.

    Parameters
    ----------
    metric : str
        ``spearman`` or ``accuracy``.
    score : float
        Its value; NaN where it has none (all answers equal, or one not finite).
    difference : float
        `score` minus the exact model's.
    low, high : float
        Bootstrap interval of `difference`.
    samples : int
        Pairs or images that were judged.
    cosine : float, optional
        Mean cosine of the embeddings with the exact model's.
    correlation : float, optional
        Spearman's correlation of the predicted similarities with the exact model's.
    agreement : float, optional
        Share of samples whose class is the exact model's.
    divergence : float, optional
        Mean Kullback-Leibler divergence from the exact model's probabilities, in nats.
    """

    metric: str
    score: float
    difference: float
    low: float
    high: float
    samples: int
    cosine: float | None = None
    correlation: float | None = None
    agreement: float | None = None
    divergence: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object; what is not finite becomes a text such as ``nan``."""
        return {
            name: repr(value) if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, data: Any) -> "Result":
        """Build a result from what `to_json` returned.

        Raises
        ------
        UsageError
            If a field is missing, unknown, or of another type.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(data, Mapping) or sorted(data) != sorted(names):
            raise UsageError(f"a result must be an object of {', '.join(names)}")
        values = dict(data)
        for name in names[1:]:
            value = values[name]
            if isinstance(value, str) and value in ("nan", "inf", "-inf"):
                values[name] = value = float(value)
            kind = int if name == "samples" else int | float
            optional = name in names[6:] and value is None
            if isinstance(value, bool) or not (isinstance(value, kind) or optional):
                raise UsageError(f"a result's {name} must be a number, not {value!r}")
        if values["metric"] not in ("spearman", "accuracy"):
            raise UsageError(
                f"a result's metric must be spearman or accuracy, not {values['metric']!r}"
            )
        return cls(**values)


def unit_ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks along the last axis, centred and of length 1; NaN where all are equal.

    The scalar product of two is Spearman's correlation; tied values share their mean rank.
    """
    try:
        from scipy.stats import rankdata
    except ImportError as error:
        raise UsageError(
            "rank correlation needs scipy, which is not installed: pip install 'nnlut[eval]'"
        ) from error
    ranks = rankdata(values, axis=-1)
    ranks -= 0.5 * (values.shape[-1] + 1)  # their mean, with ties or without
    length = np.sqrt((ranks**2).sum(axis=-1, keepdims=True))
    return np.divide(ranks, length, out=np.full(ranks.shape, np.nan), where=length > 0)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Return Spearman's rank correlation; tied values share their mean rank.

    Parameters
    ----------
    x, y : float array, shape (n,)

    Returns
    -------
    float
        -1 to 1; NaN if all values of one are equal, or one value is not finite.

    Raises
    ------
    UsageError
        If the shapes are others, n is below 2, or scipy is not installed.
    """
    x, y = (np.asarray(v, dtype=np.float64) for v in (x, y))
    if x.shape != (x.size,) or y.shape != x.shape or x.size < 2:
        raise UsageError(
            f"samples must be two or more, one number each, not of shapes {x.shape} and {y.shape}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return math.nan
    return float(unit_ranks(x) @ unit_ranks(y))


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of samples whose largest logit is their label's.

    Parameters
    ----------
    logits : float array, shape (n, classes)
        A row that is not finite is wrong.
    labels : int array, shape (n,)
    """
    return float(correct(np.asarray(logits), np.asarray(labels)).mean())


def correct(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return which samples are right; bool, shape (n,); parameters as of `accuracy`."""
    return (logits.argmax(axis=-1) == labels) & np.isfinite(logits).all(axis=-1)


def mean_cosine(embeddings: np.ndarray, exact: np.ndarray) -> float:
    """Return the mean cosine of embeddings with the exact ones.

    Parameters
    ----------
    embeddings, exact : float array, shape (n, d)
        Of any length; one of length 0 has the cosine 0.
    """
    embeddings, exact = (np.asarray(v, dtype=np.float64) for v in (embeddings, exact))
    lengths = np.linalg.norm(embeddings, axis=-1) * np.linalg.norm(exact, axis=-1)
    products = (embeddings * exact).sum(axis=-1)
    return float(np.divide(products, lengths, out=products * 0.0, where=lengths != 0).mean())


def agreement(logits: np.ndarray, exact: np.ndarray) -> float:
    """Return the share of samples whose class is the exact model's; logits as in `accuracy`."""
    return accuracy(logits, np.asarray(exact).argmax(axis=-1))


def divergence(logits: np.ndarray, exact: np.ndarray) -> float:
    """Return the mean Kullback-Leibler divergence of softmax(logits) from the exact one.

    Parameters
    ----------
    logits, exact : float array, shape (n, classes)

    Returns
    -------
    float
        Mean over the samples of ``sum p ln(p / q)``, p exact, in nats; NaN if a logit is not
        finite.
    """
    log_p, log_q = (_log_softmax(np.asarray(v, dtype=np.float64)) for v in (exact, logits))
    # Rounding may take the sum of two equal distributions below 0.
    return float(np.maximum((np.exp(log_p) * (log_p - log_q)).sum(axis=-1), 0.0).mean())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        below = logits - logits.max(axis=-1, keepdims=True)
        return below - np.log(np.exp(below).sum(axis=-1, keepdims=True))
