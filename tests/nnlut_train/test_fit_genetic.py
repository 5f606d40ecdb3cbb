"""`genetic` against the published algorithm: its parameters, its operators and its results."""

import dataclasses
import json
import math

import numpy as np
import pytest

from nnlut_train import protocol
from nnlut_train.errors import UsageError
from nnlut_train.fit import Problem, genetic
from nnlut_train.folding import Fold
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS

# Grid MSE of 8 entries, by function. First: the authors' one run (random seed 42). Second: the
# median over 50 random seeds of their operators, run with DEAP 1.4.1 for comparison. For exp the
# authors' seed is a lucky one: 78 % of the seeds are worse, by 44 % in the median.
PUBLISHED = {
    "gelu": (7.22e-5, 7.21e-5),
    "hswish": (3.33e-4, 3.30e-4),
    "exp": (1.93e-5, 2.77e-5),
    "reciprocal": (4.02e-5, 3.66e-5),
    "rsqrt": (3.63e-5, 3.44e-5),
}


def case(name, entries=8):
    """The protocol's problem, with coefficients that the published ones fit."""
    problem = protocol.problem(name, entries)
    if name in ("reciprocal", "rsqrt"):
        wide = Format(True, 9, 6)
        problem = dataclasses.replace(problem, slope=wide, intercept=wide)
    return problem


def fitness_of(problem):
    recipe = genetic.recipe(problem)
    ends = problem.reference(np.array(recipe.outer, dtype=float))
    scales = problem.slope.scale, problem.intercept.scale
    return genetic.Fitness(problem.core, recipe, tuple(ends), scales)


def slow_error(problem, recipe, genes):
    """The fitness, a sample at a time."""
    edges = [recipe.outer[0], *genes, recipe.outer[1]]
    y = [float(problem.reference(np.array([p], dtype=float))[0]) for p in edges]
    lines = []
    for i in range(len(genes) + 1):
        width = edges[i + 1] - edges[i]
        k = (y[i + 1] - y[i]) / width if width else 0.0
        b = y[i] - k * edges[i]
        lines.append([math.floor(v * 64 + 0.5) / 64 for v in (k, b)])
    total, grid = 0.0, np.arange(*recipe.domain, 0.01)
    for x in grid:
        k, b = lines[sum(x >= p for p in genes)]
        total += (k * x + b - float(problem.reference(np.array([x]))[0])) ** 2
    return total / grid.size


def test_parameters_are_the_published_ones():
    names = "POPULATION", "GENERATIONS", "CROSSOVER", "MUTATION", "TOURNAMENT"
    assert [getattr(genetic, name) for name in names] == [50, 500, 0.7, 0.2, 3]
    assert (genetic.NOISE, genetic.NOISE_RATE, genetic.ROUNDING_RATE) == (0.2, 0.1, 0.05)


@pytest.mark.parametrize(
    ("name", "entries", "outer", "inner", "precisions", "samples"),
    [
        ("gelu", 8, (-10000, 10000), (-4, 4), range(2, 7), 800),
        ("gelu", 16, (-10000, 10000), (-4, 4), range(7), 800),
        ("hswish", 8, (-10000, 10000), (-4, 4), range(7), 800),
        ("hswish", 16, (-10000, 10000), (-4, 4), range(2, 7), 800),
        ("exp", 8, (-16, 0), (-8, 0), range(7), 800),
        ("exp", 16, (-16, 0), (-6.5, 0), range(7), 800),
        ("reciprocal", 8, (0.5, 4), (0.625, 3.875), (), 350),
        ("rsqrt", 16, (0.25, 4), (0.25, 3.875), (), 375),
    ],
)
def test_recipes_are_the_published_ones(name, entries, outer, inner, precisions, samples):
    recipe = genetic.recipe(protocol.problem(name, entries))
    assert recipe.domain == protocol.CASES[name].function.domain
    assert (recipe.outer, recipe.inner) == (outer, inner)
    assert recipe.precisions == tuple(precisions)
    assert (recipe.step, recipe.noise) == (0.01, 0.2)
    assert recipe.grid.size == samples


def test_other_functions_and_ranges_have_the_default_recipe():
    inputs, output, wide = Format(True, 8, 4), Format(True, 8, 4), Format(True, 10, 6)
    gelu = FUNCTIONS["gelu"]
    problem = Problem(
        "gelu", gelu(inputs.real(inputs.codes())), inputs, output, wide, wide, 8, reference=gelu
    )
    recipe = genetic.recipe(problem)
    ends = -8.0, 7.9375
    assert recipe.domain == recipe.outer == recipe.inner == ends
    assert recipe.precisions == (0, 1, 2, 3, 4)
    assert recipe.grid.size in (800, 801)
    assert recipe.noise == pytest.approx(0.2 * 15.9375 / 8)
    folded = dataclasses.replace(problem, fold=Fold("relu", Format(False, 7, 4)))
    assert genetic.recipe(folded).inner == (0.0, 7.9375)


def test_no_more_precisions_than_draws_have_room_for():
    for frac, expected in ((-2, (-2,)), (30, tuple(range(13, 31)))):
        form = Format(False, 4, frac)
        problem = Problem(
            "line", np.zeros(16), form, Format(False, 4, -9), *[Format(True, 8, 6)] * 2
        )
        assert genetic.recipe(problem).precisions == expected
        assert len(expected) * genetic.ROUNDING_RATE <= 1 - genetic.NOISE_RATE + 1e-12


@pytest.mark.parametrize("name", PUBLISHED)
def test_fitness_equals_its_definition(name):
    problem = case(name)
    fitness = fitness_of(problem)
    recipe = fitness.recipe
    rng = np.random.default_rng(1)
    genes = rng.uniform(*recipe.inner, (12, 7))
    genes[:4] = recipe.grid[rng.integers(70, 300, (4, 7))]  # ties
    genes[1, 2:5] = genes[1, 2]  # empty segments
    genes[2] = recipe.inner[0]
    genes[3] = recipe.inner[1]
    genes.sort(axis=1)
    slow = [slow_error(problem, recipe, list(row)) for row in genes]
    np.testing.assert_allclose(fitness(genes), slow, rtol=1e-9)


def test_fitness_of_no_breakpoint():
    problem = case("exp", 1)
    fitness = fitness_of(problem)
    slow = slow_error(problem, fitness.recipe, [])
    assert fitness(np.empty((1, 0))) == pytest.approx(slow, rel=1e-9)


def test_crossover_swaps_one_run_of_genes_between_neighbours():
    genes = np.arange(50 * 7).reshape(50, 7).astype(float)
    rng = np.random.default_rng(3)
    runs, crossed, rounds = set(), 0, 400
    for _ in range(rounds):
        swapped = genetic._cross(genes, rng) != genes
        assert (swapped[::2] == swapped[1::2]).all()
        for row in swapped[::2]:
            at = np.flatnonzero(row)
            crossed += at.size > 0
            if at.size:
                assert at[-1] - at[0] == at.size - 1
                runs.add((int(at[0]), int(at[-1]) + 1))
    # DEAP's points are 1 to 7, and unequal: the first gene stays.
    assert runs == {(i, j) for i in range(1, 7) for j in range(i + 1, 8)}
    assert crossed / (25 * rounds) == pytest.approx(0.7, abs=0.02)


def test_crossover_of_two_genes_and_of_odd_populations():
    genes = np.arange(6.0).reshape(3, 2)
    seen = {tuple(genetic._cross(genes, np.random.default_rng(i)).ravel()) for i in range(20)}
    assert seen == {(0, 1, 2, 3, 4, 5), (0, 3, 2, 1, 4, 5)}


def test_rounding_mutation_draws_for_each_precision():
    recipe = dataclasses.replace(genetic.recipe(case("exp")), precisions=(0, 1), noise=0.0)
    genes = np.full((20000, 1), -3.3)
    result = genetic._mutate(genes, recipe, np.random.default_rng(5))
    values, counts = np.unique(result, return_counts=True)
    assert values.tolist() == [-3.5, -3.3, -3.0]
    shares = counts / len(genes)
    # To integers in 5 %; to halves, which leave integers alone, in 5 % of the others.
    np.testing.assert_allclose(shares, [0.95 * 0.05, 0.95**2, 0.05], atol=0.006)


@pytest.mark.parametrize(("precisions", "rate"), [((), 0.1), (tuple(range(7)), 1 - 0.9**7)])
def test_noise_falls_once_for_each_draw(precisions, rate):
    # Noise that leaves the range shows as its upper end, where rounding does not lead.
    recipe = genetic.Recipe((0, 8), (0, 8), (0, 7.999), precisions, noise=1e9)
    genes = np.full((20000, 1), 4.0)
    result = genetic._mutate(genes, recipe, np.random.default_rng(6))
    assert np.mean(result != 4.0) == pytest.approx(rate, abs=0.02)
    assert set(np.unique(result)) <= {0.0, 4.0, 7.999, 8.0}
    assert result.max() <= 7.999


def test_the_best_individual_ever_seen_is_kept():
    fitness = fitness_of(case("gelu"))
    errors = [genetic.evolve(fitness, 7, 0, generations)[1] for generations in range(60)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 2 * errors[-1]
    genes, error = genetic.evolve(fitness, 7, 0, 20)
    assert fitness(genes[None]) == pytest.approx(error, rel=1e-12)
    assert (np.diff(genes) >= 0).all()


def test_a_seed_decides_the_result():
    problem = case("rsqrt")
    first, second, other = (genetic.solve(problem, seed, False) for seed in (4, 4, 5))
    assert [v.tolist() for v in first[:3]] == [v.tolist() for v in second[:3]]
    assert first[3] == second[3]
    assert first[0].tolist() != other[0].tolist()


@pytest.mark.parametrize("name", PUBLISHED)
def test_reaches_the_published_errors(name):
    problem = case(name)
    recipe = genetic.recipe(problem)
    grid = np.arange(*recipe.domain, 0.01)
    errors = []
    for seed in range(5):
        *integers, notes = genetic.solve(problem, seed, False)
        assert json.loads(json.dumps(notes)) == notes
        assert (notes["recipe"], notes["saturated"]) == ("published", 0)
        table = problem.table(*integers, {})
        errors.append(np.mean((table.line(grid) - problem.reference(grid)) ** 2))
        # The search's own measure, but for the rounding of the breakpoints.
        assert errors[-1] == pytest.approx(notes["fitness"], rel=0.12)
    authors, median = PUBLISHED[name]
    assert np.median(errors) == pytest.approx(median, rel=0.25)
    if name == "exp":
        assert min(errors) < 1.25 * authors
    else:
        assert np.median(errors) == pytest.approx(authors, rel=0.25)


def test_saturated_coefficients_are_counted():
    problem = case("reciprocal")
    narrow = Format(True, 8, 6)  # -2 to 1.98: too little for slopes of -4 and intercepts of 4
    *wide, notes = genetic.solve(problem, 0, False)
    assert notes["saturated"] == 0
    problem = dataclasses.replace(problem, slope=narrow, intercept=narrow)
    *integers, notes = genetic.solve(problem, 0, False)
    assert integers[0].tolist() == wide[0].tolist()
    beyond = sum(np.count_nonzero((v < narrow.min) | (v > narrow.max)) for v in wide[1:])
    assert notes["saturated"] == beyond > 0
    np.testing.assert_array_equal(integers[1], narrow.saturate(wide[1]))


def test_a_function_that_is_not_finite_is_refused():
    problem = dataclasses.replace(case("gelu"), reference=lambda x: np.where(x > 9, np.inf, x))
    with pytest.raises(UsageError, match=r"gelu must be finite at \(-10000\.0, 10000\.0\)"):
        genetic.solve(problem, 0, False)
    form = Format(False, 4, 2)
    problem = Problem(
        "hole", np.zeros(16), form, form, Format(True, 8, 4), Format(True, 8, 4),
        reference=lambda x: np.where(x == np.floor(4 * x) / 4, 0.0, np.nan),
    )  # fmt: skip
    with pytest.raises(UsageError, match="hole must be finite between its arguments' codes"):
        genetic.solve(problem, 0, False)
