from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlut_train.errors import UsageError
from nnlut_train.folding import Fold
from nnlut_train.formats import Format
from nnlut_train.tables import PwlTable
from sim.golden import PwlSpec, spec_from_json
from sim.golden.pipelining import adder, comparator, levels, multiplexer, multiplier, partition

FOLDED = PwlTable(
    Format(True, 6, 3), Format(True, 6, 3), Format(True, 5, 4), Format(True, 7, 5),
    (3, 7, 12, 20), (1, 5, 9, -7, 3), (0, 9, -4, 30, 12), fold=Fold("odd", Format(False, 5, 3)),
)  # fmt: skip
#: What hand-counted examples of the gates have.
COUNTED = [
    (levels(1), 0), (levels(2), 1), (levels(9), 4), (comparator(1), 1), (comparator(8), 7),
    (adder(8), 8), (multiplexer(8), 6), (multiplier(1, 8), 1), (multiplier(2, 8), 9),
    # 4 rows: 4 -> 3 -> 2.
    (multiplier(4, 8), 17),
]  # fmt: skip


@pytest.mark.parametrize(("counted", "wanted"), COUNTED)
def test_gate_levels(counted, wanted):
    assert counted == wanted


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 50)), min_size=1, max_size=7),
    st.data(),
)
def test_partition_is_the_best_of_all(steps, data):
    stages = data.draw(st.integers(1, len(steps)))
    delays, widths = zip(*steps, strict=True)

    def delay(begin, end):
        return sum(delays[begin:end]) + 3

    def cost(ends):
        parts = [delay(begin, end) for begin, end in zip((0, *ends), ends, strict=False)]
        return sorted(parts, reverse=True), sum(widths[end] for end in ends[:-1]), ends

    every = [(*cuts, len(steps)) for cuts in combinations(range(1, len(steps)), stages - 1)]
    found = partition(delay, lambda at: widths[at], len(steps), stages)
    assert cost(found) == min(map(cost, every))


def test_all_numbers_of_stages_and_none_more():
    steps = PwlSpec(FOLDED).steps
    most = len(steps.names)
    assert steps.names[0] == ("magnitude", 0)
    assert steps.names[-1] == ("saturate", 0)
    longest = []
    for stages in range(1, most + 1):
        spec = PwlSpec(FOLDED, stages)
        ends = spec.steps.ends(stages)
        assert spec.latency == spec.latency_of(5) == stages == len(ends)
        longest.append(max(map(steps.delay, (0, *ends), ends)))
    assert longest == sorted(longest, reverse=True)
    assert longest[0] > longest[-1]
    for stages in (0, most + 1):
        with pytest.raises(UsageError, match=rf"stages must be 1 to {most}, not {stages}$"):
            PwlSpec(FOLDED, stages)


def test_default_is_the_three_stages_and_says_nothing_of_them():
    spec = PwlSpec(FOLDED)
    assert spec.latency == 3
    kinds = [
        [name for name, _ in spec.steps.names[a:b]]
        for a, b in zip((0, *spec.steps.ends(None)), spec.steps.ends(None), strict=False)
    ]
    assert (kinds[0][-1], set(kinds[1]), kinds[2][0]) == ("select", {"chunk"}, "add")
    assert "stages" not in spec.describe()
    assert spec_from_json(spec.describe()) == spec
    other = PwlSpec(FOLDED, 5)
    assert other.describe()["stages"] == 5
    assert spec_from_json(other.describe()) == other
