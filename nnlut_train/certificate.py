"""Check what `optimal` claims about a table, by other and simpler means.

No code of the searches is shared; what is asked for is the same (`Problem.points` and `cost`).

The claim is a lower bound: no table of the problem has a smaller objective. `check` proves it anew:

* ``mse``: dynamic programming over the groups of points that no breakpoint separates. A segment
  first costs what its best *real* line does, a lower bound. Segments that are part of a table
  cheaper than the claim are then given their best *integer* line, by trying every slope that could
  matter, until no such table is left. Too many groups are joined to blocks, and a block with a
  breakpoint inside it is left out: again a lower bound.
* ``max``: blocks of argument codes, each beginning where the one before ends. By trying slopes, no
  integer line serves a whole block with an error below the claim. So a better table needs a
  breakpoint after the first code of each block, up to its last. These places are disjoint: a table
  of as many entries as there are blocks has one breakpoint too few. A block of one code, which no
  breakpoint divides, is a proof alone.
* Constrained ``mse``: the same programme with the exact cost of every segment inside its limits. A
  step at a breakpoint is not looked at, so the bound of a monotone table may not be reached.
* ``mixed``: the least squared error and the least maximum error, each on its own: a weaker bound.

Of an input with too many codes there is a sample (`Problem.codes`): breakpoints are codes of it,
and all claims and proofs are of the error over it.

Sums are `numpy.longdouble`, and what their rounding may add is subtracted.
"""

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from .errors import UsageError
from .fit.problem import Points, Problem
from .tables import PwlTable

__all__ = ["Proof", "check"]

#: What of a bound rounding may cost, as a fraction.
SLACK = 1e-9
#: Groups of points at most: memory and time grow with the square.
MAX_GROUPS = 1 << 12
#: Exact costs of constrained segments: groups squared times slopes at most.
MAX_TRIED = 1 << 27
#: Slopes tried for a segment at most.
MAX_SLOPES = 1 << 24
#: Lines tried at once.
CHUNK = 1 << 20


@dataclass(frozen=True)
class Proof:
    """What is proved about a table.

    Parameters
    ----------
    cost, claimed_bound, proved_bound : float
        The table's objective; what its certificate says that no table undercuts; what is proved.
    complete : bool
        Whether the claim is proved, up to rounding. If not, it is not refuted either.
    how : str
        The kind of proof, for people.
    """

    cost: float
    claimed_bound: float
    proved_bound: float
    complete: bool
    how: str


def check(problem: Problem, table: PwlTable, progress: bool = False) -> Proof:
    """Prove the certificate of a table that `nnlut_train.fit.fit` made with the method ``optimal``.

    Parameters
    ----------
    problem : Problem
        What the table was fitted to.
    table : PwlTable
        The table, with its meta data.
    progress : bool
        Show a progress bar, if standard error is a terminal.

    Raises
    ------
    UsageError
        If the table has no certificate, is not of this problem, does not cost what it says or
        does not meet the constraints, or if the claim cannot be proved. Only where the module's
        text says that a proof is weaker is that no error; see `Proof.complete`.
    """
    cost, claim, certificate = _claim(problem, table)
    points = problem.points()
    slack = SLACK * max(problem.output.scale, problem.intercept.scale)
    points = replace(points, lower=points.lower - slack, upper=points.upper + slack)
    size = float(np.abs(points.target).max())  # what rounding errors are in proportion to
    tiny = 1e-14 * size if problem.objective == "max" else 1e-16 * size**2
    goal = claim * (1 - SLACK) - tiny
    weak = problem.monotone or problem.objective == "mixed"
    if goal <= 0:
        proved, how = max(goal, 0.0), "no error is below 0"
    elif problem.objective == "max":
        proved, how = (
            _blocks(problem, points, certificate.get("blocks"), goal),
            "by ranges of codes that no line serves better",
        )
    else:
        proved, how = _squares(problem, points, goal, progress)
    if problem.sampled:
        how += f", over a sample of {problem.codes.size:,} of 2^{problem.input.bits} codes"
    complete = bool(proved >= goal)
    if not complete and not weak:
        raise UsageError(f"certificate: a lower bound of {claim:.6g} cannot be proved")
    if not complete:
        how += ", steps of a monotone table ignored" * problem.monotone + ": weaker than the claim"
    return Proof(cost, claim, proved, complete, how)


def _claim(problem: Problem, table: PwlTable) -> tuple[float, float, dict[str, Any]]:
    """Return cost, claimed bound and certificate, after all checks that take no proof."""
    certificate, noted = table.meta.get("certificate"), table.meta.get("cost")
    certificate = certificate if isinstance(certificate, dict) else {}
    claim, gap = certificate.get("lower_bound"), certificate.get("gap")
    if not all(isinstance(v, int | float) for v in (noted, claim, gap)):
        raise UsageError("certificate: the table must have one: fit it with the method optimal")
    if table.meta.get("problem") != problem.digest() or not problem.fits(table):
        raise UsageError("certificate: the table must be one of the given problem")
    samples = problem.codes.size if problem.sampled else None
    if certificate.get("samples") != samples:
        raise UsageError(
            f"certificate: its samples must be {samples}, not {certificate.get('samples')!r}: a "
            f"proof is of the codes that were looked at"
        )
    if table.entries > problem.entries:
        raise UsageError(f"certificate: the table must have at most {problem.entries} entries")
    cost, tiny = problem.cost(table), 1e-15
    if not math.isclose(cost, noted, rel_tol=SLACK, abs_tol=tiny):
        raise UsageError(f"certificate: the table's cost must be {cost:.6g}, not {noted:.6g}")
    if not problem.meets(table):
        raise UsageError("certificate: the table must meet the problem's constraints")
    if not 0 <= claim <= cost * (1 + SLACK) + tiny:
        raise UsageError(
            f"certificate: a lower bound of {claim:.6g} cannot be proved: the table's cost is "
            f"{cost:.6g}"
        )
    if not abs(cost - claim - gap * cost) <= 3 * SLACK * cost + tiny:
        raise UsageError(f"certificate: the gap must be that of the bound, not {gap:.6g}")
    return cost, float(claim), certificate


# The proof of a maximum error.


def _blocks(problem: Problem, points: Points, blocks: Any, goal: float) -> float:
    """Return `goal` if the ranges of codes prove that no table has a smaller maximum error."""
    if not isinstance(blocks, list) or not all(
        isinstance(v, list) and [type(code) for code in v] == [int, int] for v in blocks
    ):
        raise UsageError("certificate: blocks must be a list of ranges [first, last] of codes")
    for (_, before), (first, _) in itertools.pairwise(blocks):
        if first < before:
            raise UsageError(f"certificate: a block must not begin at {first}, before {before}")
    alone = [block for block in blocks if block[0] == block[1]]
    if len(blocks) < problem.entries and not alone:
        raise UsageError(f"certificate: there must be {problem.entries} blocks, not {len(blocks)}")
    for first, last in alone or blocks:
        inside = (points.start >= first) & (points.start <= last)
        if not inside.any() or _has_line(problem, points, inside, goal):
            raise UsageError(
                f"certificate: a lower bound of {goal:.6g} cannot be proved: a line has less error "
                f"from code {first} to {last}"
            )
    return goal


def _has_line(problem: Problem, points: Points, inside: np.ndarray, error: float) -> bool:
    """Return whether an integer line has at most this error at all the points `inside`."""
    x, f = points.x[inside], points.target[inside]
    lower = np.maximum(points.lower[inside], f - error)
    upper = np.minimum(points.upper[inside], f + error)
    slope, intercept = problem.slope, problem.intercept
    # Where the points at both ends are met, the slope lies between two values.
    i, j = int(x.argmin()), int(x.argmax())
    low, high = slope.min, slope.max
    if (span := (x[j] - x[i]) * slope.scale) > 0:
        middle, reach = (f[j] - f[i]) / span, 2 * error / span + 1
        low = max(low, math.floor(min(middle - reach, high + 1.0)))
        high = min(high, math.ceil(max(middle + reach, low - 1.0)))
    sparse = np.unique(np.linspace(0, x.size - 1, 17).astype(int))
    step = max(1, CHUNK // x.size)
    for first in range(low, high + 1, step):
        k = np.arange(first, min(first + step, high + 1))[:, None] * slope.scale
        for at in (sparse, slice(None)):  # few points rule out most slopes
            room = (lower[at] - k * x[at]).max(axis=1), (upper[at] - k * x[at]).min(axis=1)
            least = np.ceil(np.maximum(room[0] / intercept.scale, intercept.min))
            k = k[least <= np.floor(np.minimum(room[1] / intercept.scale, intercept.max))]
        if k.size:
            return True
    return False


# Proofs of a squared error.


def _squares(problem: Problem, points: Points, goal: float, progress: bool) -> tuple[float, str]:
    """Return a bound on ``mse`` or ``mixed``, and how it was proved; `goal` is enough."""
    groups, tried = np.unique(points.start).size, 1 << problem.slope.bits
    mixed = problem.objective == "mixed"
    if groups * groups * tried <= MAX_TRIED and (mixed or not points.free or problem.monotone):
        edges = _edges(points, 1)
        squares, most = _every_line(problem, points, edges)
        proved = _forward(squares, problem.entries, False)[1]
        error = 0.0
        if mixed:
            reached = np.append(0.0, np.full(groups, np.inf))
            for _ in range(problem.entries):
                longer = np.maximum(reached[:-1, None], most).min(axis=0)
                reached[1:] = np.minimum(reached[1:], longer)
            error = float(reached[-1])
        how = "by trying every line of every segment" + ", squared and maximum error apart" * mixed
        return proved + problem.mix * error**2 if mixed else proved, how
    grid = 1
    while np.unique(points.start // grid).size > MAX_GROUPS:
        grid *= 2
    proved = _Squares(problem, points, grid).prove(goal, progress)
    how = "by dynamic programming over all segments"
    if grid > 1:
        how += f", of blocks of {grid} codes, divided ones left out"
    return proved, how + ", without constraints or maximum error" * (mixed or problem.constrained)


def _edges(points: Points, grid: int) -> np.ndarray:
    """Return where the groups of `grid` codes begin, and the number of points at the end."""
    block = points.start // grid
    return np.append(np.flatnonzero(np.diff(block, prepend=block[0] - 1)), block.size)


def _forward(costs: np.ndarray, entries: int, skip: bool) -> tuple[np.ndarray, float]:
    """Return least costs before a segment, and that of a whole table.

    `costs` of shape (n, n) has [i, j] for the segment of groups i to j, infinite for i > j. The
    result [m, i] of shape (entries + 1, n + 1) is for groups 0 to i - 1 in at most m segments; with
    `skip`, every breakpoint may leave out one group, and segments without a group count, too.
    """
    n = len(costs)
    ended = np.full((entries + 1, n + 1), np.inf)
    before = ended.copy()
    ended[0, 0] = 0
    for i in range(n + 1):
        begin = ended[:, i].copy()
        if skip and i:
            begin[1:] = np.minimum(begin[1:], ended[1:, i - 1])
        before[:, i] = np.minimum.accumulate(begin)
        ended[1:, i] = np.minimum(ended[1:, i], before[:-1, i])
        if i < n:
            longer = before[:-1, i, None] + costs[i, i:]
            ended[1:, i + 1 :] = np.minimum(ended[1:, i + 1 :], longer)
    return before, float(ended[entries, n])


def _running(terms: np.ndarray) -> np.ndarray:
    """Return running sums over n terms, shape (..., n); each is rounded 2 sqrt(n) times only."""
    n = terms.shape[-1]
    width = math.isqrt(n - 1) + 1
    sums = np.zeros((*terms.shape[:-1], width * width), dtype=terms.dtype)
    sums[..., :n] = terms
    sums = np.cumsum(sums.reshape(*terms.shape[:-1], width, width), axis=-1)
    sums[..., 1:, :] += np.cumsum(sums[..., :-1, -1], axis=-1)[..., None]
    return sums.reshape(*terms.shape[:-1], -1)[..., :n]


class _Squares:
    """Lower bounds on the squared error of all segments, raised where it matters."""

    def __init__(self, problem: Problem, points: Points, grid: int) -> None:
        self.problem, self.points, self.skip = problem, points, grid > 1
        self.edges = _edges(points, grid)
        self.n = self.edges.size - 1
        x, f, w = (v.astype(np.longdouble) for v in (points.x, points.target, points.weight))
        begin = self.edges[:-1]
        self.x, self.f = x[begin], f[begin]
        u, v = (q - np.repeat(q[begin], np.diff(self.edges)) for q in (x, f))
        # Sums of each group, about its first point.
        terms = np.array([w, w * u, w * v, w * u * u, w * u * v, w * v * v])
        self.sums = np.add.reduceat(terms, begin, axis=1)
        self.costs = np.full((self.n, self.n), np.inf)
        for i in range(self.n):
            self.costs[i, i:] = self._moments(i)[-1]

    def _moments(self, i: int) -> tuple[np.ndarray, ...]:
        """Return sums of the segments that begin at group i: float64 arrays, one value a segment.

        Weight, means of x and f, second moment of x about its mean, best real slope, and the
        squared error with it; the second moment and the error are lower bounds.
        """
        dx, df = self.x[i:] - self.x[i], self.f[i:] - self.f[i]
        w, u, v, uu, uv, vv = self.sums[:, i:]
        terms = (
            w, u + w * dx, v + w * df, uu + (2 * u + w * dx) * dx,
            uv + v * dx + (u + w * dx) * df, vv + (2 * v + w * df) * df,
        )  # fmt: skip
        weight, su, sv, uu, uv, vv = _running(np.array(terms))
        # What rounding adds to the sums, as a fraction of those of the terms without their signs.
        e = 4 * (2 * self.n**0.5 + np.diff(self.edges).max() + 9) * np.finfo(np.longdouble).eps
        xx = np.maximum(uu - su * su / weight - e * uu, 0)
        xf = uv - su * sv / weight
        slope = np.divide(xf, xx, out=np.zeros_like(xx), where=xx > 0)
        gain = np.where(uu > 0, np.inf, np.zeros_like(xx))
        np.divide((abs(xf) + e * np.sqrt(uu * vv)) ** 2, xx, out=gain, where=xx > 0)
        least = np.maximum(vv - sv * sv / weight - e * vv - gain, 0)
        means = self.x[i] + su / weight, self.f[i] + sv / weight
        return tuple(q.astype(np.float64) for q in (weight, *means, xx, slope, least))

    def prove(self, goal: float, progress: bool) -> float:
        """Return `goal` if no table is cheaper, else the least cost of all tables."""
        known = np.zeros(self.costs.shape, dtype=bool)
        above = goal * (1 + 1e-12)  # sums of costs that are raised so far do not round below it
        entries = self.problem.entries
        with tqdm(desc="segments", disable=None if progress else True) as bar:
            while True:
                before, least = _forward(self.costs, entries, self.skip)
                if least >= goal:
                    return goal
                after = _forward(self.costs[::-1, ::-1].T, entries, self.skip)[0][-2::-1, ::-1]
                # The cheapest first: they rule out many of the others.
                level, found = 0.5 * (least + goal) if least < 0.999 * goal else goal, 0
                for i in range(self.n):
                    # What the cheapest table with each segment costs.
                    costs = self.costs[i, i:]
                    table = costs + (before[:-1, i, None] + after[:, i + 1 :]).min(axis=0)
                    at = np.flatnonzero((table < level) & ~known[i, i:])
                    if at.size:
                        self._try(i, i + at, costs[at] + above - table[at])
                        known[i, i + at] = True
                        found += at.size
                if not found:
                    return least
                bar.update(found)

    def _try(self, i: int, last: np.ndarray, limit: np.ndarray) -> None:
        """Set the costs of the segments of groups i to `last`: exact if below `limit`."""
        slope, intercept = self.problem.slope, self.problem.intercept
        w, x, f, xx, k, least = (v[last - i] for v in self._moments(i))
        a, k = xx * slope.scale**2, k / slope.scale
        # Slopes further from the best real one cost more than `limit`.
        reach = np.full(a.shape, np.inf)
        np.divide(np.maximum(limit - least, 0), a, out=reach, where=a > 0)
        reach = np.sqrt(reach) * (1 + SLACK) + SLACK
        low = np.ceil(np.clip(k - reach, slope.min, slope.max + 1)).astype(np.int64)
        high = np.floor(np.clip(k + reach, slope.min - 1, slope.max)).astype(np.int64)
        count = np.maximum(high - low + 1, 0)
        # Of too many slopes, the real one's error is all that is known.
        cost = np.where(count > MAX_SLOPES, least, limit)
        count[count > MAX_SLOPES] = 0
        part = np.cumsum(count) // CHUNK
        for number in np.unique(part[count > 0]):
            at = np.flatnonzero((part == number) & (count > 0))
            first = np.cumsum(count[at]) - count[at]
            s = np.repeat(at, count[at])
            tried = low[s] + np.arange(s.size) - np.repeat(first, count[at])
            ideal = (f[s] - x[s] * slope.scale * tried) / intercept.scale
            b = np.clip(np.rint(ideal), intercept.min, intercept.max)
            error = a[s] * (tried - k[s]) ** 2 + w[s] * ((b - ideal) * intercept.scale) ** 2
            cost[at] = np.minimum(cost[at], least[at] + np.minimum.reduceat(error, first))
        self.costs[i, last] = np.maximum(self.costs[i, last], cost)


def _every_line(
    problem: Problem, points: Points, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return least squared and maximum errors of all segments inside their limits, shape (n, n)."""
    slope, intercept = problem.slope, problem.intercept
    squares = np.full((edges.size - 1,) * 2, np.inf)
    most = squares.copy()
    k = slope.real(slope.codes())[:, None]
    for i in range(edges.size - 1):
        part, last = slice(edges[i], None), edges[i + 1 :] - edges[i] - 1
        line, w = k * points.x[part], points.weight[part]
        low = np.maximum.accumulate(points.lower[part] - line, axis=1)[:, last] / intercept.scale
        high = np.minimum.accumulate(points.upper[part] - line, axis=1)[:, last] / intercept.scale
        low = np.ceil(np.maximum(low, intercept.min))
        high = np.floor(np.minimum(high, intercept.max))
        residue = points.target[part] - line
        v, weight = residue - residue[:, :1], np.cumsum(w)[last]
        mean = np.cumsum(w * v, axis=1)[:, last] / weight
        least = np.cumsum(w * v * v, axis=1)[:, last] - weight * mean**2
        mean += residue[:, :1]
        b = np.clip(np.rint(mean / intercept.scale), low, high) * intercept.scale
        cost = np.where(low <= high, np.maximum(least, 0) + weight * (b - mean) ** 2, np.inf)
        squares[i, i:] = cost.min(axis=0)
        top = np.maximum.accumulate(residue, axis=1)[:, last]
        bottom = np.minimum.accumulate(residue, axis=1)[:, last]
        b = np.clip(np.rint(0.5 * (top + bottom) / intercept.scale), low, high) * intercept.scale
        error = np.where(low <= high, np.maximum(top - b, b - bottom), np.inf)
        most[i, i:] = error.min(axis=0)
    return squares, most
