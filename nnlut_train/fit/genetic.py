"""GQA-LUT: search the breakpoints with a genetic algorithm, and draw chords between them.

P. Dong et al., "Genetic Quantization-Aware Approximation for Non-Linear Operations in
Transformers", DAC 2024, arXiv 2403.19591. Parameters are those of its Table 1; where the paper is
silent or the published code (repository PingchengDong/GQA-LUT) differs, the code is followed:

* An individual is the sorted real breakpoints, and nothing else. Each line is the chord between
  neighbouring breakpoints, or a breakpoint and a far outer end; slope and intercept are rounded to
  the fraction bits of their formats (the code's 6; the paper says 5), but nothing saturates.
* Fitness is the mean squared error on a uniform grid, which has the lower end of the range but not
  the upper; neither grid nor breakpoints are rounded. On a breakpoint, the right line counts.
* A generation: as many tournaments as individuals; two-point crossover of the first with the
  second, the third with the fourth, and so on; mutation. There is no elitism.
* Rounding Mutation draws a number for each gene *and each precision*, in ascending order: a gene
  gets up to 7 draws, and is rounded to the precision in `ROUNDING_RATE` of them, but moved by
  Gaussian noise in `NOISE_RATE` of them. Where it is off, a gene gets one draw, for the noise.

The code returns the best individual of the last generation; here it is the best ever seen. At the
end the breakpoints are rounded to the argument's codes, and coefficients saturate. Objective and
weights are ignored; only which codes count is not, as it decides the range.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from ..errors import UsageError
from . import lines

if TYPE_CHECKING:
    from . import Problem

__all__ = ["RECIPES", "Fitness", "Recipe", "evolve", "recipe", "solve"]

POPULATION = 50
GENERATIONS = 500
CROSSOVER = 0.7
MUTATION = 0.2
TOURNAMENT = 3
NOISE = 0.2
NOISE_RATE = 0.1
ROUNDING_RATE = 0.05  # the paper's theta_r
GRID_STEP = 0.01
#: Samples of the grid where no recipe is published: as many as `GRID_STEP` takes on (-4, 4).
SAMPLES = 800
#: With so many precisions, a draw that is not for noise is for one of them.
MAX_PRECISIONS = round((1 - NOISE_RATE) / ROUNDING_RATE)

Interval = tuple[float, float]


@dataclass(frozen=True)
class Recipe:
    """What GQA-LUT sets for each function.

    Parameters
    ----------
    domain : tuple of float
        Range of the grid: ``(lo, hi)``.
    outer : tuple of float
        Where the first chord begins and the last one ends.
    inner : tuple of float
        What the breakpoints are limited to.
    precisions : tuple of int
        Fraction bits to which Rounding Mutation rounds (m_a to m_b); without any it is off.
    step : float
        Step of the grid; 0 if the range is a single point.
    noise : float
        Standard deviation of the mutation's noise.
    """

    domain: Interval
    outer: Interval
    inner: Interval
    precisions: tuple[int, ...] = ()
    step: float = GRID_STEP
    noise: float = NOISE

    @property
    def grid(self) -> np.ndarray:
        """Where the error is measured; float64, ascending."""
        low, high = self.domain
        return np.arange(low, high, self.step) if self.step else np.array([float(low)])


def _recipe(domain: Interval, outer: Interval, inner: Interval, *precisions: int) -> Recipe:
    return Recipe(domain, outer, inner, tuple(range(*precisions)))


_FAR = (-10000.0, 10000.0)
#: The published recipes by function and entries; None is for all other numbers of entries.
RECIPES: dict[tuple[str, int | None], Recipe] = {
    ("gelu", None): _recipe((-4, 4), _FAR, (-4, 4), 0, 7),  # m_a = 0 to m_b = 6
    ("gelu", 8): _recipe((-4, 4), _FAR, (-4, 4), 2, 7),
    ("hswish", None): _recipe((-4, 4), _FAR, (-4, 4), 0, 7),
    ("hswish", 16): _recipe((-4, 4), _FAR, (-4, 4), 2, 7),
    ("exp", None): _recipe((-8, 0), (-16, 0), (-8, 0), 0, 7),
    ("exp", 16): _recipe((-8, 0), (-16, 0), (-6.5, 0), 0, 7),
    ("reciprocal", None): _recipe((0.5, 4), (0.5, 4), (0.625, 3.875), 0),
    ("rsqrt", None): _recipe((0.25, 4), (0.25, 4), (0.25, 3.875), 0),
}


def recipe(problem: "Problem") -> Recipe:
    """Return the published recipe of a problem, or a default one.

    A published recipe belongs to a function on its range, which is not folded. Everywhere else,
    the ends of the domain are all ends, step and noise are the published ones in proportion to
    the domain's width, and Rounding Mutation rounds to 0 fraction bits, 1, ... those of the
    argument (to the finest 18 of these, as each takes its share of the draws).
    """
    low, high = problem.domain
    published = RECIPES.get((problem.function, problem.entries))
    published = published or RECIPES.get((problem.function, None))
    whole = problem.reference is not None and problem.fold is None
    if published is not None and whole and published.domain == (low, high):
        return published
    width, frac = high - low, problem.argument.frac
    return Recipe(
        (low, high), (low, high), (low, high),
        tuple(range(min(0, frac), frac + 1))[-MAX_PRECISIONS:],
        width / SAMPLES, width * NOISE / 8,
    )  # fmt: skip


class Fitness:
    """The mean squared error of rounded chords on the grid, for many individuals at once.

    Parameters
    ----------
    function : callable
        float64 array to float64 array of the same shape.
    recipe : Recipe
        Grid and outer ends.
    ends : tuple of float
        The function at the outer ends, which may be beyond what `function` knows.
    scales : tuple of float
        Steps to which slopes and intercepts are rounded.
    """

    def __init__(
        self, function: Callable[[np.ndarray], np.ndarray], recipe: Recipe, ends: Interval,
        scales: tuple[float, float],
    ) -> None:  # fmt: skip
        self.function, self.recipe, self.ends, self.scales = function, recipe, ends, scales
        self.grid = recipe.grid
        f = function(self.grid)
        # Sums over the grid up to each point make the error of a line on any interval a few
        # products. About the means, differences of sums cancel least.
        self.center = self.grid.mean(), f.mean()
        x, f = self.grid - self.center[0], f - self.center[1]
        sums = np.cumsum([np.ones(x.size), x, f, x * x, x * f, f * f], axis=1)
        self.sums = np.concatenate([np.zeros((6, 1)), sums], axis=1)

    def edges(self, genes: np.ndarray) -> np.ndarray:
        """Return `genes`, shape (..., n), with the outer ends, shape (..., n + 2)."""
        shape = (*genes.shape[:-1], 1)
        low, high = (np.full(shape, end) for end in self.recipe.outer)
        return np.concatenate([low, genes, high], axis=-1)

    def lines(self, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return real slopes and intercepts of the chords, of shape (..., n + 1) each."""
        shape = (*genes.shape[:-1], 1)
        low, high = (np.full(shape, value) for value in self.ends)
        y = np.concatenate([low, self.function(genes), high], axis=-1)
        return lines.chords(self.edges(genes), y)

    def __call__(self, genes: np.ndarray) -> np.ndarray:
        """Return the errors, shape (individuals,), of sorted `genes`, (individuals, n)."""
        (k, b), (x, f) = self.lines(genes), self.center
        # Half up instead of np.rint, as everywhere here; chords do not meet a tie but by chance.
        k, b = (np.floor(v / s + 0.5) * s for v, s in zip((k, b), self.scales, strict=True))
        at = np.empty((len(genes), genes.shape[1] + 2), dtype=np.int64)
        at[:, 0], at[:, -1] = 0, self.grid.size
        at[:, 1:-1] = np.searchsorted(self.grid, genes)
        n, sx, sf, sxx, sxf, sff = np.diff(self.sums[:, at])
        b = b + k * x - f
        error = sff - 2 * (k * sxf + b * sf) + k * k * sxx + b * (2 * k * sx + b * n)
        return np.maximum(error.sum(axis=1), 0.0) / self.grid.size


def _cross(genes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the children of neighbours: two-point crossover of unequal points, as in DEAP."""
    pairs, count = genes.shape[0] // 2, genes.shape[1]
    mated = rng.random(pairs) < CROSSOVER
    first = rng.integers(1, count + 1, pairs)
    second = rng.integers(1, count, pairs)
    second += second >= first
    first, second = np.minimum(first, second), np.maximum(first, second)
    at = np.arange(count)
    swap = mated[:, None] & (at >= first[:, None]) & (at < second[:, None])
    left, right = genes[: 2 * pairs : 2], genes[1 : 2 * pairs : 2]
    children = genes.copy()
    children[: 2 * pairs : 2] = np.where(swap, right, left)
    children[1 : 2 * pairs : 2] = np.where(swap, left, right)
    return children


def _mutate(genes: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """Return mutated copies of all `genes`; see the module's text."""
    precisions = recipe.precisions
    shape = (max(1, len(precisions)), *genes.shape)
    draws, noise = rng.random(shape), rng.normal(0.0, recipe.noise, shape)
    for i, draw in enumerate(draws):
        moved = np.where(draw >= 1 - NOISE_RATE, genes + noise[i], genes)
        if precisions:
            chosen = (draw >= ROUNDING_RATE * i) & (draw < ROUNDING_RATE * (i + 1))
            scale = 2.0 ** precisions[i]
            nearest = np.clip(np.rint(genes * scale) / scale, *recipe.inner)
            moved = np.where(chosen, nearest, moved)
        genes = moved
    return np.clip(genes, *recipe.inner)


def evolve(
    fitness: Fitness, count: int, seed: int, generations: int | None = None, progress: bool = False
) -> tuple[np.ndarray, float]:
    """Search for the breakpoints.

    Parameters
    ----------
    fitness : Fitness
        What to minimise; its recipe says how.
    count : int
        Number of breakpoints.
    seed : int
        Of the random numbers.
    generations : int, optional
        `GENERATIONS` by default.
    progress : bool
        Show a progress bar, if standard error is a terminal.

    Returns
    -------
    genes : float64 array, shape (count,)
        The best individual ever seen: real breakpoints, ascending.
    error : float
        Its fitness.
    """
    rng = np.random.default_rng(seed)
    recipe = fitness.recipe
    generations = GENERATIONS if generations is None else generations
    genes = np.sort(rng.uniform(*recipe.inner, (POPULATION, count)))
    error = fitness(genes)
    best, least = genes[error.argmin()], float(error.min())
    rounds = range(generations if count else 0)
    for _ in tqdm(rounds, desc="generations", disable=None if progress else True):
        rivals = rng.integers(POPULATION, size=(POPULATION, TOURNAMENT))
        genes = genes[rivals[np.arange(POPULATION), error[rivals].argmin(axis=1)]]
        if count > 1:
            genes = _cross(genes, rng)
        mutant = rng.random(POPULATION) < MUTATION
        genes[mutant] = _mutate(genes[mutant], recipe, rng)
        genes.sort(axis=1)
        error = fitness(genes)
        if error.min() < least:
            best, least = genes[error.argmin()], float(error.min())
    return best, least


def solve(
    problem: "Problem", seed: int, progress: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Fit `problem` as GQA-LUT does; see `nnlut_train.fit.fit`.

    Returns
    -------
    breakpoints, slopes, intercepts : int64 arrays
        As in `PwlTable`. Segments without a code are dropped.
    notes : dict
        ``generations``; ``recipe``, ``published`` or ``default``; ``fitness``, the best one, before
        breakpoints were rounded; ``saturated``, how many coefficients of the table their formats
        could not hold.

    Raises
    ------
    UsageError
        If the function is not finite somewhere.
    """
    chosen = recipe(problem)

    def function(x: np.ndarray) -> np.ndarray:
        return lines.core(problem, x)

    if published := chosen in RECIPES.values():
        # The outer ends are far beyond what the output can hold: not clipped to it.
        ends = problem.reference(np.array(chosen.outer, dtype=np.float64))
        if not np.isfinite(ends).all():
            raise UsageError(f"{problem.function} must be finite at {chosen.outer}")
    else:
        ends = function(np.array(chosen.outer))
    scales = problem.slope.scale, problem.intercept.scale
    fitness = Fitness(function, chosen, tuple(ends.tolist()), scales)
    genes, error = evolve(fitness, problem.entries - 1, seed, progress=progress)
    *integers, notes = lines.rounded(problem, fitness.edges(genes), *fitness.lines(genes))
    notes |= {
        "generations": GENERATIONS, "recipe": "published" if published else "default",
        "fitness": error,
    }  # fmt: skip
    return *integers, notes
