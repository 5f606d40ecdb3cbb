"""Masked softmaxes: a masked element leaves its row alone, and gives 0."""

import numpy as np
import pytest
from benching import check

from hw.design import design
from hw.request import Request
from nnlut_train.errors import UsageError
from sim.stimuli import Stimulus, random_rows

METHODS = {"nnlut": "direct", "rexp": "direct", "lut2d": "direct", "base2": "direct",
           "ibert": "integer"}  # fmt: skip


def spec(method, *, lanes=1, length=16, mask=True):
    request = Request("softmax", 6, method=method, lanes=lanes, length=length, mask=mask)
    return design(request, METHODS[method])


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("method", METHODS)
def test_masked_units(method, lanes):
    report = check(spec(method, lanes=lanes))
    assert report.throughput == lanes


@pytest.mark.parametrize("method", METHODS)
def test_a_masked_element_leaves_its_row_alone_and_gives_0(method):
    unit, plain = spec(method), spec(method, mask=False)
    rng = np.random.default_rng(1)
    for row in random_rows(unit, 200, rng):
        mask = rng.random(len(row)) < rng.random()
        result = unit.compute(row, mask)
        assert not result[mask].any()
        if not mask.all():
            assert result[~mask].tolist() == plain.compute(row[~mask]).tolist()


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("method", METHODS)
def test_corner_masks(method, lanes):
    unit = spec(method, lanes=lanes, length=8)
    low, high = unit.input.min, unit.input.max
    row = np.array([high, low, 0, high, -1, 1, low, high])
    masks = [np.ones(8, int), np.zeros(8, int), *np.eye(8, dtype=int), *(1 - np.eye(8, dtype=int)),
             (row == high).astype(int), (row == low).astype(int)]  # fmt: skip
    rows = [row] * len(masks)
    # A row with every element masked is all 0, and the rows around it are right.
    assert not unit.compute(row, masks[0]).any()
    runs = [
        Stimulus("masks", rows, users=masks),
        Stimulus("masks, stalls", rows, 0.3, 0.3, users=masks),
        Stimulus("one element", [row[:1]] * 4, users=[np.array([bit]) for bit in (0, 1, 1, 0)]),
    ]
    check(unit, runs)  # fmt: skip


def test_a_mask_must_be_bits_of_the_row():
    unit = spec("nnlut")
    row = np.zeros(4, dtype=int)
    for mask in ([1, 0, 1], [2, 0, 0, 0], [[1, 0, 0, 0]]):
        with pytest.raises(UsageError, match=r"^a mask must have a 0 or a 1 for each element"):
            unit.compute(row, mask)
