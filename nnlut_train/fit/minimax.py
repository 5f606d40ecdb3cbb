"""Least maximum error: greedy longest segments, and bisection over the errors of segments.

A segment's error can only grow with the segment, so greedily taking the longest segments decides
whether an error can be reached.
"""

from bisect import bisect_right
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from tqdm import tqdm

from ..errors import UsageError
from ..formats import Format
from .programme import CHUNK, Samples

__all__ = ["SLACK", "InfeasibleError", "Minimax", "Tube"]

#: What float64 rounding may add to a limit, in steps of the intercept.
SLACK = 1e-9
Tube = tuple[np.ndarray, np.ndarray]  # what lines must stay between: each of shape (n,)


class InfeasibleError(UsageError):
    """No table of at most so many entries meets the constraints."""

    def __init__(self, entries: int) -> None:
        super().__init__(
            f"no table of at most {entries} entries with these formats meets the constraints: more "
            f"entries, more coefficient bits or weaker constraints are needed"
        )


class Minimax:
    """The ``max`` search. Segments are made of blocks, which begin at `starts`.

    Lines stay inside `tube`, where one is given.
    """

    def __init__(
        self, samples: Samples, starts: np.ndarray, slope: Format, intercept: Format,
        tube: Tube | None = None,
    ) -> None:  # fmt: skip
        self.slope, self.intercept = slope, intercept
        self.x, self.f = samples[0] * slope.scale, samples[1]
        self.tube = tube
        self.edges, self.n = np.append(starts, self.x.size), starts.size
        self.fit = cache(self.fit_once)

    def fit_once(self, i: int, j: int) -> tuple[float, int, int]:
        """Return error, slope and intercept of the best integer line of blocks i to j - 1.

        With slope k the residues f - k x span [low, high]; the best code b is the middle, rounded
        and limited. With b real, but limited, the error is convex in k and a lower bound; slopes
        are tried from its minimum outwards, as in `lattice_fit`. Where the tube leaves b no room
        the error is infinite; how much room is missing is convex in k, too.
        """
        part = slice(self.edges[i], self.edges[j])
        x, f = self.x[part], self.f[part]
        lower, upper = (None, None) if self.tube is None else (v[part] for v in self.tube)
        left, right = k_min, k_max = self.slope.min, self.slope.max
        scale = self.intercept.scale

        def room(k: Any) -> tuple[Any, Any, float, float]:  # of b, and the slopes of its ends in k
            b_min, b_max = self.intercept.min * scale, self.intercept.max * scale
            if self.tube is None:
                return b_min, b_max, 0.0, 0.0
            low, high = lower - k * x, upper - k * x
            at_low, at_high = low.argmax(axis=-1), high.argmin(axis=-1)
            low, high = low.max(axis=-1), high.min(axis=-1)
            rise = np.where(low > b_min, -x[at_low], 0.0), np.where(high < b_max, -x[at_high], 0.0)
            return np.maximum(low, b_min), np.minimum(high, b_max), *rise

        while left < right:  # bisection on the sign of the bound's derivative
            k = (left + right) // 2
            b_min, b_max, rise_min, rise_max = room(k)
            if b_min > b_max + SLACK * scale:
                rise = rise_min - rise_max
            else:
                residue = f - k * x
                top, bottom = int(residue.argmax()), int(residue.argmin())
                high, low = residue[top], residue[bottom]
                inner = 0.5 * (high - low), x[bottom] - x[top]
                below, above = -x[top] - rise_max, x[bottom] + rise_min
                rise = max(inner, (high - b_max, below), (b_min - low, above))[1]
            left, right = (left, k) if rise >= 0 else (k + 1, right)
        best: tuple[float, int, int] = (np.inf, 0, 0)
        for start, side in ((left, 1), (left - 1, -1)):
            step, bound = 1, -np.inf
            while bound < best[0] and k_min <= start <= k_max:
                k = start + side * np.arange(step)
                k = k[(k >= k_min) & (k <= k_max)]
                residue = f - k[:, None] * x
                high, low = residue.max(axis=1), residue.min(axis=1)
                b_min, b_max = room(k[:, None])[:2]
                first, last = np.ceil(b_min / scale - SLACK), np.floor(b_max / scale + SLACK)
                b = np.clip(np.rint((high + low) * (0.5 / scale)), first, last)
                error = np.maximum(high - b * scale, b * scale - low)
                error = np.where(first > last, np.inf, error)
                least = int(error.argmin())
                best = min(best, (float(error[least]), int(k[least]), int(b[least])))
                bound = max(
                    0.5 * (high[-1] - low[-1]),
                    *(np.atleast_1d(v)[-1] for v in (high[-1] - b_max, b_min - low[-1])),
                )
                if np.atleast_1d(b_min > b_max + SLACK * scale)[-1]:
                    bound = np.inf
                start, step = start + side * k.size, min(2 * step, 1 + 16 * CHUNK // x.size)
        return best

    def greedy(self, entries: int, error: float) -> tuple[list[int], float]:
        """Cover the blocks with at most `entries` of the longest segments that reach `error`.

        Returns the edges of the segments, up to the first block that is not covered, and the
        largest error of these; or, if blocks are left, the least error that can change this.
        """
        edges, beyond = [0], np.inf
        while (i := edges[-1]) < self.n and len(edges) <= entries:
            j, step = i, max(1, self.n // (2 * entries))
            while j + step <= self.n and self.fit(i, j + step)[0] <= error:
                j, step = j + step, 2 * step
            tail = range(j + 1, min(j + step, self.n + 1))
            j += bisect_right(tail, error, key=lambda j, i=i: self.fit(i, j)[0])
            if j < self.n:
                beyond = min(beyond, self.fit(i, j + 1)[0])
            edges.append(j)
            if j == i:
                break
        if edges[-1] < self.n:
            return edges, beyond
        return edges, max(self.fit(i, j)[0] for i, j in pairwise(edges))

    def run(self, entries: int, progress: bool) -> np.ndarray:
        """Return first blocks, slopes and intercepts of the best table; shape (3, segments).

        Raises
        ------
        InfeasibleError
            If no table stays inside the tube.
        """
        # `high` is reached, nothing below `low` can be. Both step over errors of segments, of
        # which there are finitely many, so they meet.
        (edges, high), low = self.greedy(entries, np.finfo(float).max), 0.0
        if edges[-1] < self.n:
            raise InfeasibleError(entries)
        with tqdm(desc="errors tried", disable=None if progress else True) as bar:
            while low < high:
                middle = 0.5 * (low + high)
                trial, error = self.greedy(entries, middle if middle < high else low)
                if trial[-1] == self.n:
                    edges, high = trial, error
                else:
                    low = error
                bar.update()
        self.error = high
        return np.array([(i, *self.fit(i, j)[1:]) for i, j in pairwise(edges)]).T

    def witness(self, entries: int) -> list[tuple[int, int]]:
        """Return ranges of blocks, the ends included, which no line can serve better than `run`.

        Each begins where the one before ends. A table with less error would need a new segment
        inside each of them, which is one more than it has.
        """
        if not self.error:
            return []
        edges, _ = self.greedy(entries, float(np.nextafter(self.error, 0)))
        return [(i, min(j, self.n - 1)) for i, j in pairwise(edges)]
