"""Minimised tables: exact at every code, smaller than what they start from, and checked."""

import numpy as np
import pytest

from nnlut_train.delta import delta_table
from nnlut_train.errors import UsageError
from nnlut_train.files import from_json
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS
from nnlut_train.logic import TARGETS, target_of
from nnlut_train.minimised import MinimisedTable, minimised_table
from nnlut_train.netlist import Network
from nnlut_train.starts import starts

SMALL = Format(True, 5, 1)


def target(op="gelu", inputs=SMALL):
    return FUNCTIONS[op](inputs.real(inputs.codes()))


@pytest.mark.parametrize("logic", TARGETS)
@pytest.mark.parametrize(("op", "output"), [("gelu", Format(True, 6, 2)),
                                            ("sigmoid", Format(False, 6, 6))])  # fmt: skip
def test_correctly_rounded_at_every_code(op, output, logic):
    wanted = target(op)
    table = minimised_table(op, wanted, SMALL, output, logic=logic, steps=150)
    assert table.lookup(SMALL.codes()).tolist() == output.quantize(wanted).tolist()
    sizes = [len(node.inputs) for node in table.network]
    assert max(sizes) <= TARGETS[logic].inputs
    # A ROM is a multiplexer tree: 31 multiplexers a bit, and LUTs of 4 or 6 inputs are 11 or 1.
    assert table.meta["cost"] <= {"gates": 3 * 31 * 2.33, "lut4": 3 * 11, "lut6": 6}[logic]


def test_faithful_is_within_1_ulp_and_smaller():
    inputs, output = Format(False, 5, 2), Format(False, 6, 6)
    wanted = np.exp(-inputs.real(inputs.codes()))
    exact, faithful = (
        minimised_table("e", wanted, inputs, output, logic="lut4", max_error=bound, steps=300)
        for bound in (0.5, 1.0)
    )
    error = faithful.lookup(inputs.codes()) - output.clip(wanted) * 2.0**output.frac
    assert np.abs(error).max() < 1.0
    assert (faithful.lookup(inputs.codes()) != exact.lookup(inputs.codes())).any()
    assert faithful.meta["cost"] < exact.meta["cost"]


@pytest.mark.parametrize("logic", TARGETS)
def test_every_start_is_right(logic):
    inputs, output = Format(True, 8, 4), Format(True, 8, 7)
    wanted = target("tanh", inputs)
    word = np.roll(output.quantize(wanted), inputs.min)
    delta = delta_table("silu", target("silu", inputs), inputs, inputs)
    networks = list(starts(word, word, 8, True, target_of(logic), word))
    assert all(network.right for network in networks)
    # The last is that of the magnitude: the table is half as long.
    assert len(networks) == (4 if logic == "lut6" else 3)
    if logic != "lut6":
        assert networks[-1].cost < min(network.cost for network in networks[:-1])
    word = np.roll(delta.lookup(inputs.codes()), inputs.min)
    *others, last = starts(word, word, 8, True, target_of(logic), word, delta)
    assert last.right
    assert len(others) == (3 if logic == "lut6" else 2)


@pytest.mark.parametrize(("logic", "op"), [("lut4", "sigmoid"), ("gates", "gelu")])
def test_freedom_never_costs_anything(logic, op):
    output = Format(False, 6, 6) if op == "sigmoid" else SMALL
    costs = [
        minimised_table(
            op, target(op), SMALL, output, logic=logic, max_error=bound, steps=60, seed=seed
        ).meta["cost"]
        for seed in range(3)
        for bound in (0.5, 0.75)
    ]
    assert all(free <= exact for exact, free in zip(costs[::2], costs[1::2], strict=True))


def test_the_same_arguments_give_the_same_table():
    tables = [
        minimised_table(
            "s", target("sigmoid"), SMALL, Format(False, 5, 5), logic="lut4", seed=seed, steps=60
        )
        for seed in (0, 0, 1)
    ]
    assert tables[0].nodes == tables[1].nodes != tables[2].nodes
    assert tables[0].sha256 == tables[1].sha256
    assert from_json(tables[0].to_json()) == tables[0]


@pytest.mark.parametrize("values", [[3] * 16, list(range(16)), [15 - x for x in range(16)]])
def test_constants_wires_and_inverters(values):
    form = Format(False, 4, 0)
    table = minimised_table("f", np.array(values, float), form, form, logic="lut4", steps=200)
    assert table.lookup(form.codes()).tolist() == values
    assert len(table.network) == (4 if values[0] == 15 else 0)


def test_a_table_by_hand():
    # y0 = x0 and x1, y1 (the sign) = x2.
    table = MinimisedTable(Format(True, 3, 0), Format(True, 2, 0), (2, 0, 1, 0b1000), (5, 2))
    assert table.values == (-2, -2, -2, -1, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("nodes", "outputs", "said"),
    [((2, 0, 5, 8), (5, 2), r"a node's inputs\[1\] must be 0 to 4, not 5"),
     ((2, 0, 1, 16), (5, 2), r"a node's truth\[0\] must be 0 to 15, not 16"),
     ((2, 0, 1), (5, 2), r"nodes\[0\] must be a number of inputs, 1 to 8"),
     ((9, 0, 1), (5, 2), r"nodes\[0\] must be a number of inputs, 1 to 8.* not 9"),
     ((), (5, 2), r"outputs\[0\] must be 0 to 4, not 5"),
     ((), (1,), "outputs must have 2 values, not 1")],
)  # fmt: skip
def test_what_a_table_refuses(nodes, outputs, said):
    with pytest.raises(UsageError, match=said):
        MinimisedTable(Format(True, 3, 0), Format(True, 2, 0), nodes, outputs)


def test_what_the_search_refuses():
    with pytest.raises(UsageError, match="one of gates, lut4, lut6, not 'lut5'"):
        minimised_table("gelu", target(), SMALL, SMALL, logic="lut5")
    with pytest.raises(UsageError, match=r"at least 0.5 ulp, not 0.4"):
        minimised_table("gelu", target(), SMALL, SMALL, max_error=0.4)


def test_care_is_what_the_result_depends_on():
    # y = (a and b) or c: a and b matters where c is 0; y is free at pattern 0.
    low, high = np.array([0, 0, 0, 1, 1, 1, 1, 1]), np.array([1, 0, 0, 1, 1, 1, 1, 1])
    network = Network(low, high, 1, False, target_of("lut4"))
    both = network.add([0, 1], np.array([0, 0, 0, 1]))
    network.add_output(network.add([both, 2], np.array([0, 1, 1, 1])))
    assert network.right
    on, off = network.care(both)
    assert np.flatnonzero(on).tolist() == [3]
    assert np.flatnonzero(off).tolist() == [1, 2]


@pytest.mark.parametrize(("truth", "cost"), [(0b1000, 1.17), (0b0111, 1.17), (0b0110, 2.0),
                                             (0b11001010, 2.33), (0b10, 0.0)])  # fmt: skip
def test_what_gates_cost(truth, cost):
    size = 2 if truth < 4 else 4 if truth < 16 else 8
    table = np.array([(truth >> at) & 1 for at in range(size)], np.uint8)
    assert TARGETS["gates"].cost(table) == pytest.approx(cost)
    assert TARGETS["gates"].cost(1 - table) == pytest.approx(cost)
