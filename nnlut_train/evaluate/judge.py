"""Judges: the exact model's answers to a task, against which others are held.

The difference of the task's metric to the exact model comes with a 95 % percentile bootstrap
interval: the samples are drawn again with replacement, **the same ones for both models**, since
both answered the same questions (Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993,
chapters 10 and 13).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import UsageError
from .fidelity import (
    Result,
    accuracy,
    agreement,
    correct,
    divergence,
    mean_cosine,
    spearman,
    unit_ranks,
)  # fmt: skip
from .sts import Pairs

__all__ = ["LEVEL", "RESAMPLES", "Classes", "Similarities"]

RESAMPLES = 2000
#: Probability that an interval leaves out, half of it on each side.
LEVEL = 0.05
#: Resamples ranked at a time: memory stays small.
CHUNK = 500


def _resamples(count: int, resamples: int, seed: int) -> np.ndarray:
    """Return which samples each resample holds: int64, shape (resamples, count)."""
    if resamples < RESAMPLES:
        raise UsageError(f"a bootstrap must have {RESAMPLES} resamples or more, not {resamples}")
    return np.random.default_rng(seed).integers(0, count, (resamples, count))


def _interval(differences: np.ndarray) -> tuple[float, float]:
    """Return the percentile interval; resamples without a metric do not count."""
    defined = differences[~np.isnan(differences)]
    if not defined.size:
        return math.nan, math.nan
    low, high = np.quantile(defined, [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Similarities:
    """Judge of embeddings of sentence pairs against the exact model's.

    The predicted similarity of a pair is the cosine of its two embeddings. The ranks of gold and of
    the exact model's similarities in every resample are computed once and serve all judgements.

    Parameters
    ----------
    pairs : Pairs
        Sentences and gold scores.
    exact : float array, shape (len(pairs.sentences), d)
        The exact model's embeddings, of length 1.
    resamples, seed : int
        Of the bootstrap.

    Raises
    ------
    UsageError
        If the shapes do not go together, or the resamples are too few.
    """

    pairs: Pairs
    exact: np.ndarray
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "exact", self._embeddings(self.exact))

    def _embeddings(self, embeddings: np.ndarray) -> np.ndarray:
        embeddings = np.asarray(embeddings, dtype=np.float64)
        if embeddings.ndim != 2 or len(embeddings) != len(self.pairs.sentences):
            raise UsageError(
                f"embeddings must be one for each of {len(self.pairs.sentences)} sentences, "
                f"not of shape {embeddings.shape}"
            )
        return embeddings

    def similarities(self, embeddings: np.ndarray) -> np.ndarray:
        """Return the cosine of each pair; float64, shape (n,), from unit embeddings."""
        embeddings = self._embeddings(embeddings)
        return (embeddings[self.pairs.first] * embeddings[self.pairs.second]).sum(axis=-1)

    @cached_property
    def _draws(self) -> np.ndarray:
        return _resamples(self.pairs.scores.size, self.resamples, self.seed)

    @cached_property
    def _gold(self) -> np.ndarray:
        """Ranks of the gold scores in every resample."""
        return np.concatenate([unit_ranks(self.pairs.scores[draws]) for draws in self._chunks()])

    @cached_property
    def _exact_scores(self) -> np.ndarray:
        return self._correlations(self.similarities(self.exact))

    def _chunks(self) -> list[np.ndarray]:
        return np.array_split(self._draws, -(-self.resamples // CHUNK))

    def _correlations(self, predicted: np.ndarray) -> np.ndarray:
        """Return Spearman's correlation with gold in every resample: each is ranked anew."""
        gold = np.array_split(self._gold, -(-self.resamples // CHUNK))
        return np.concatenate([
            (unit_ranks(predicted[draws]) * ranks).sum(axis=-1)
            for draws, ranks in zip(self._chunks(), gold, strict=True)
        ])  # fmt: skip

    def interval(self, predicted: np.ndarray) -> tuple[float, float]:
        """Return the bootstrap interval of Spearman with `predicted` minus the exact model's."""
        if not np.isfinite(predicted).all():
            return math.nan, math.nan
        return _interval(self._correlations(predicted) - self._exact_scores)

    def result(self, embeddings: np.ndarray) -> Result:
        """Judge embeddings of the same sentences, of the shape of `exact`."""
        predicted, exact = self.similarities(embeddings), self.similarities(self.exact)
        score = spearman(predicted, self.pairs.scores)
        low, high = self.interval(predicted)
        return Result(
            "spearman", score, score - spearman(exact, self.pairs.scores), low, high,
            self.pairs.scores.size, cosine=mean_cosine(embeddings, self.exact),
            correlation=spearman(predicted, exact),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Classes:
    """Judge of a classifier's logits against the exact model's.

    Parameters
    ----------
    labels : int array, shape (n,)
        The right classes.
    exact : float array, shape (n, classes)
        The exact model's logits.
    resamples, seed : int
        Of the bootstrap.

    Raises
    ------
    UsageError
        If the shapes do not go together, or the resamples are too few.
    """

    labels: np.ndarray
    exact: np.ndarray
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", np.asarray(self.labels))
        object.__setattr__(self, "exact", self._logits(self.exact))

    def _logits(self, logits: np.ndarray) -> np.ndarray:
        logits = np.asarray(logits, dtype=np.float64)
        if logits.ndim != 2 or len(logits) != len(self.labels):
            raise UsageError(
                f"logits must be one row for each of {len(self.labels)} labels, "
                f"not of shape {logits.shape}"
            )
        return logits

    @cached_property
    def _draws(self) -> np.ndarray:
        return _resamples(len(self.labels), self.resamples, self.seed)

    def result(self, logits: np.ndarray) -> Result:
        """Judge logits of the same samples, of the shape of `exact`."""
        logits = self._logits(logits)
        gain = correct(logits, self.labels).astype(np.int64) - correct(self.exact, self.labels)
        low, high = _interval(gain[self._draws].mean(axis=-1))
        return Result(
            "accuracy", accuracy(logits, self.labels), float(gain.mean()), low, high,
            len(self.labels), agreement=agreement(logits, self.exact),
            divergence=divergence(logits, self.exact),
        )  # fmt: skip
