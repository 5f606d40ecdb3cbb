"""What a build says of a shared unit."""

from concurrent.futures import Future

from hw.cost import AsicCost
from hw.design import design
from hw.request import Request
from hw.shared_report import Separate, separate_units, shared_rows, shared_to_json, submit_separate
from nnlut_train.functions import lookup
from sim.accuracy import unary_accuracy
from sim.measure import measure


def cost(area):
    return AsicCost(
        design="unit", target="generic", yosys="", bram_policy="flip-flops", cells={},
        flip_flops=0, area=area, sequential_area=0.0, combinational_area=area, unit="GE",
        libraries=(),
    )  # fmt: skip


def submit(verilog, top):
    assert f"module {top}(" in verilog
    done = Future()
    done.set_result(cost(100.0 * len(top)))
    return done


def test_separate_units_are_of_lines_and_of_direct_tables():
    request = Request("gelu,exp", 6, entries=4)
    units = separate_units(request)
    assert [unit[:2] for unit in units] == [
        ("gelu", "pwl"), ("exp", "pwl"), ("gelu", "direct"), ("exp", "direct"),
    ]  # fmt: skip
    assert [spec.kind for _, _, spec in units] == ["pwl", "pwl", "direct", "direct"]
    assert [spec.table.entries for *_, spec in units[:2]] == [4, 4]
    assert units[0][2] == design(Request("gelu", 6, entries=4), "pwl")
    assert submit_separate(units, submit)()[1] == Separate(
        "exp", "pwl", unary_accuracy(units[1][2], lookup("exp")).max_ulp, cost(700.0)
    )


def test_separate_units_have_the_same_lanes_and_registers():
    request = Request("gelu,exp", 4, lanes=2, tables="writable")
    units = separate_units(request)
    assert [arch for _, arch, _ in units] == ["pwl", "pwl"]
    assert [spec.kind for *_, spec in units] == ["writable", "writable"]
    assert [spec.lanes for *_, spec in units] == [2, 2]
    error = unary_accuracy(units[0][2].unit.unit, lookup("gelu")).max_ulp
    assert submit_separate(units, submit)()[0] == Separate("gelu", "pwl", error, cost(800.0))


def test_wide_units_have_no_direct_tables():
    units = separate_units(Request("tanh,sigmoid", 13, entries=4))
    assert [arch for _, arch, _ in units] == ["pwl", "pwl"]


def test_what_is_said():
    request = Request("gelu,exp", 6)
    spec = design(request, "pwl")
    accuracy, _ = measure(spec, request.ops)
    separate = [
        Separate(op, arch, ulp, cost(area))
        for op, arch, ulp, area in (
            ("gelu", "pwl", 0.5, 900.0), ("exp", "pwl", 0.75, 1100.4),
            ("gelu", "direct", 0.25, 150.0), ("exp", "direct", 0.5, 250.0),
        )
    ]  # fmt: skip
    gelu, exp = (one.max_ulp for one in accuracy.functions.values())
    assert shared_rows(spec, accuracy, cost(800.0), separate) == {
        "functions": [
            f"tuser 0: gelu, input s6.2, output s6.2, max {gelu:.3f} ulp (by itself: pwl 0.500, "
            "direct 0.250)",
            f"tuser 1: exp, input s6.2, output u6.6, max {exp:.3f} ulp (by itself: pwl 0.750, "
            "direct 0.500)",
        ],
        "comparison": [
            "generic  shared 800 GE",
            "         separate lines together 2,000 GE, 2.50 times the shared unit (gelu 900, exp "
            "1,100)",
            "         separate direct tables together 400 GE, 0.50 times the shared unit (gelu "
            "150, exp 250)",
        ],
    }
    data = shared_to_json(spec, accuracy, cost(800.0), separate)
    assert data["comparison"] == {
        "target": "generic", "shared": 800.0,
        "separate": {"pwl": {"together": 2000.4, "gelu": 900.0, "exp": 1100.4},
                     "direct": {"together": 400.0, "gelu": 150.0, "exp": 250.0}},
    }  # fmt: skip
    assert data["functions"][1] == {
        "tuser": 1, "function": "exp", "input": "s6.2", "output": "u6.6", "max_ulp": exp,
        "rms_ulp": accuracy.functions["exp"].rms_ulp,
        "separate_max_ulp": {"pwl": 0.75, "direct": 0.5},
    }  # fmt: skip
