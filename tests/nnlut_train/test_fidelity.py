"""Metrics against their definitions, and the bootstrap against a slow loop."""

import json
import math
import time

import numpy as np
import pytest

from nnlut_train.errors import UsageError
from nnlut_train.evaluate import fidelity, judge
from nnlut_train.evaluate.fidelity import Result, spearman
from nnlut_train.evaluate.judge import Classes, Similarities
from nnlut_train.evaluate.sts import Pairs

stats = pytest.importorskip("scipy.stats", reason="ranks are computed with scipy")


def unit(rng, count, width=8):
    vectors = rng.normal(size=(count, width))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def task(seed=0, count=40, noise=0.2):
    """Return pairs, exact embeddings, and those of a slightly wrong model."""
    rng = np.random.default_rng(seed)
    exact = unit(rng, 2 * count)
    first, second = np.arange(count), np.arange(count, 2 * count)
    gold = np.clip(np.round(2.5 + 2.5 * (exact[first] * exact[second]).sum(1), 1), 0, 5)
    pairs = Pairs(tuple(map(str, range(2 * count))), first, second, gold)
    other = exact + noise * rng.normal(size=exact.shape)
    return pairs, exact, other / np.linalg.norm(other, axis=1, keepdims=True)


def test_spearman_by_hand():
    assert spearman([1, 2, 3, 4], [10, 20, 30, 5000]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    # without ties 1 - 6 sum d^2 / (n (n^2 - 1)), d the differences of the ranks
    assert spearman([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(1 - 6 * 4 / (5 * 24))
    # ties share their mean rank: ranks 1.5 1.5 3 against 1 2 3
    assert spearman([7, 7, 9], [1, 2, 3]) == pytest.approx(math.sqrt(3) / 2)


@pytest.mark.parametrize("seed", range(5))
def test_spearman_is_scipys(seed):
    x, y = np.random.default_rng(seed).integers(0, 12, (2, 50))
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_spearman_has_no_value_where_nothing_can_be_ranked():
    assert math.isnan(spearman([1, 1, 1], [1, 2, 3]))
    assert math.isnan(spearman([1, np.nan, 2], [1, 2, 3]))
    assert math.isnan(spearman([1, 2, 3], [1, np.inf, 2]))
    for x, y in (([1], [1]), ([1, 2], [1, 2, 3]), ([[1, 2]], [[1, 2]])):
        with pytest.raises(UsageError, match="two or more, one number each, not of shapes"):
            spearman(np.array(x), np.array(y))


def test_the_interval_of_spearman_equals_a_slow_loop():
    pairs, exact, other = task(count=25)
    found = Similarities(pairs, exact, seed=3).result(other)
    at = np.random.default_rng(3).integers(0, 25, (judge.RESAMPLES, 25))
    a, b = ((e[pairs.first] * e[pairs.second]).sum(1) for e in (other, exact))
    slow = [
        stats.spearmanr(a[i], pairs.scores[i]).statistic
        - stats.spearmanr(b[i], pairs.scores[i]).statistic
        for i in at
    ]
    low, high = np.quantile(slow, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert found.low < found.difference < found.high
    assert found.score == pytest.approx(stats.spearmanr(a, pairs.scores).statistic)
    assert found.correlation == pytest.approx(stats.spearmanr(a, b).statistic)
    # Ranking once, before the samples are drawn, would be something else.
    once = [stats.rankdata(v) for v in (a, b, pairs.scores)]
    wrong = [
        np.corrcoef(once[0][i], once[2][i])[0, 1] - np.corrcoef(once[1][i], once[2][i])[0, 1]
        for i in at
    ]
    assert abs(np.quantile(wrong, 0.025) - found.low) > 1e-6


def test_the_interval_of_accuracy_equals_a_slow_loop():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 30)
    exact = rng.normal(size=(30, 4)) + 2 * np.eye(4)[labels]
    other = exact + rng.normal(size=(30, 4))
    found = Classes(labels, exact, seed=5).result(other)
    slow = [
        np.mean(other[i].argmax(1) == labels[i]) - np.mean(exact[i].argmax(1) == labels[i])
        for i in np.random.default_rng(5).integers(0, 30, (judge.RESAMPLES, 30))
    ]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])))
    assert found.score == np.mean(other.argmax(1) == labels)
    assert found.difference == pytest.approx(found.score - np.mean(exact.argmax(1) == labels))
    assert found.low < 0 < found.agreement < 1
    assert found.divergence > 0


def test_the_exact_model_differs_by_nothing():
    pairs, exact, _ = task()
    found = Similarities(pairs, exact).result(exact)
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert (found.cosine, found.correlation) == pytest.approx((1, 1))
    logits = np.random.default_rng(0).normal(size=(9, 3))
    found = Classes(np.zeros(9, int), logits).result(logits)
    assert (found.difference, found.low, found.high, found.divergence) == (0, 0, 0, 0)
    assert found.agreement == 1


def test_a_judgement_is_repeated_with_its_seed_only():
    pairs, exact, other = task()
    first, again, else_ = (Similarities(pairs, exact, seed=s).result(other) for s in (1, 1, 2))
    assert first == again
    assert (first.low, first.high) != (else_.low, else_.high)


def test_a_model_without_finite_answers_has_no_score():
    pairs, exact, other = task()
    other[3] = np.nan
    found = Similarities(pairs, exact).result(other)
    assert all(math.isnan(v) for v in (found.score, found.difference, found.low, found.high))
    assert math.isnan(found.cosine)
    found = Similarities(pairs, exact).result(np.ones_like(exact))  # all similarities equal
    assert math.isnan(found.score)
    assert math.isnan(found.low)
    logits = np.full((4, 2), np.nan)
    found = Classes(np.zeros(4, int), np.eye(4, 2)).result(logits)
    assert (found.score, found.agreement) == (0, 0)
    assert math.isnan(found.divergence)


def test_fidelity_by_hand():
    a = np.array([[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    b = np.array([[0.0, 2.0], [3.0, 4.0], [1.0, 0.0]])
    assert fidelity.mean_cosine(a, b) == pytest.approx((0 + 1 + 0) / 3)
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
    want = 0.5 * math.log(2) - 0.25 * math.log(2)
    # a shift of all logits changes nothing, not even a large one
    assert fidelity.divergence([np.log(q) + 900], [np.log(p)]) == pytest.approx(want)
    assert fidelity.agreement(np.array([[1, 2], [5, 0]]), np.array([[0, 9], [0, 1]])) == 0.5


def test_seven_hundred_and_fifty_pairs_take_seconds():
    pairs, exact, other = task(count=750)
    judges = Similarities(pairs, exact)
    judges.result(other)  # the exact model's part is computed once
    start = time.process_time()
    judges.result(other)
    assert time.process_time() - start < 1.5


@pytest.mark.parametrize("score", [0.5, math.nan])
def test_a_result_survives_json(score):
    result = Result("spearman", score, -0.25, score, 0.0, 750, cosine=0.75)
    text = json.dumps(result.to_json(), allow_nan=False)
    again = Result.from_json(json.loads(text))
    assert repr(again) == repr(result)  # NaN is not equal to itself


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1}, "a result must be an object of metric, score"),
        ({"score": "high"}, "score must be a number, not 'high'"),
        ({"score": None}, "score must be a number, not None"),
        ({"samples": 1.5}, "samples must be a number, not 1.5"),
        ({"cosine": True}, "cosine must be a number, not True"),
        ({"metric": "f1"}, "metric must be spearman or accuracy, not 'f1'"),
    ],
)
def test_a_damaged_result_is_refused(change, message):
    data = Result("accuracy", 1.0, 0.0, 0.0, 0.0, 5).to_json()
    with pytest.raises(UsageError, match=message):
        Result.from_json(data | change)


def test_a_result_must_be_complete():
    with pytest.raises(UsageError, match="must be an object of"):
        Result.from_json({"metric": "accuracy"})
    with pytest.raises(UsageError, match="must be an object of"):
        Result.from_json([])


def test_judges_refuse_what_does_not_go_together():
    pairs, exact, other = task()
    with pytest.raises(UsageError, match=r"one for each of 80 sentences, not of shape \(79, 8\)"):
        Similarities(pairs, exact[1:])
    with pytest.raises(UsageError, match="one for each of 80 sentences"):
        Similarities(pairs, exact).result(other[1:])
    with pytest.raises(UsageError, match="2000 resamples or more, not 100"):
        Similarities(pairs, exact, resamples=100).result(other)
    with pytest.raises(UsageError, match="one row for each of 3 labels"):
        Classes(np.zeros(3, int), np.zeros((4, 2)))
