"""NN-LUT's own calibration: what is trained is what the unit computes, and how it comes out."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="NN-LUT is trained with torch")

from torch import nn  # noqa: E402

from hw.design import design  # noqa: E402
from hw.plan import Plan, PlannedUnit  # noqa: E402
from hw.request import Request  # noqa: E402
from nnlut_train.errors import StepError, UsageError  # noqa: E402
from nnlut_train.fit import nn as nnlut_fit  # noqa: E402
from nnlut_train.functions import FUNCTIONS  # noqa: E402
from nnlut_train.network.calibrate import plan_of  # noqa: E402
from nnlut_train.network.cores import problem_of, reduced  # noqa: E402
from nnlut_train.network.measured import layer_error  # noqa: E402
from nnlut_train.network.nnlut import _layer, _with_networks, train_tables  # noqa: E402
from nnlut_train.network.observe import observe  # noqa: E402
from nnlut_train.tables import PwlTable  # noqa: E402

STEPS = 400
SITE = {"softmax": "softmax.softmax", "gelu": "gelu.gelu", "layernorm": "norm.layernorm"}


@pytest.fixture(autouse=True, scope="module")
def _short_fits():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nnlut_fit, "STEPS", 3000)
        patch.setattr(nnlut_fit, "BATCH", 250)
        yield


class Model(nn.Module):
    """A softmax, a GELU and a LayerNorm of rows of 16, each of the same input."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.softmax, self.gelu, self.norm = nn.Softmax(-1), nn.GELU(), nn.LayerNorm(16)
        nn.init.normal_(self.norm.weight, 1.0, 0.2)
        nn.init.normal_(self.norm.bias, 0.0, 0.2)

    def forward(self, x):
        return self.softmax(x), self.gelu(x), self.norm(x)


def narrow():
    """Arguments of GELU in a tenth of its range, and rows of almost one variance."""
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(40, 16, generator=generator) * 0.9 - 1.2 for _ in range(2)]


@pytest.fixture(scope="module")
def seen():
    return observe(Model(), narrow())


OPTIONS = {
    "softmax": {"fold": "none", "distance_bits": None, "input_frac": 9, "output_bits": 12},
    "gelu": {"fold": "none"},
    "layernorm": {"output_frac": 12},
}


def planned(seen, *ops, fit="nn", **others):
    given = {op: {"fit": fit} | OPTIONS[op] | others for op in ops}
    return plan_of(seen, entries=8, ops=ops, options=given, seed=1)


@pytest.fixture(scope="module")
def plan(seen):
    return planned(seen, "softmax", "gelu", "layernorm")


@pytest.fixture(scope="module")
def tuned(plan, seen):
    return train_tables(plan, seen, steps=STEPS)


def lines(spec):
    return {name: table for name, table in spec.tables() if isinstance(table, PwlTable)}


def served(plan, seen, unit):
    return [(site, seen[name]) for name, site in plan.served(unit).items()]


REDUCED = [
    ("gelu", {}), ("gelu", {"fold": "none"}), ("sigmoid", {}), ("tanh", {}), ("elu", {}),
    ("exp", {}), ("exp2", {}), ("reciprocal", {}), ("rsqrt", {}), ("sqrt", {}), ("log", {}),
    ("sin", {"input_frac": 4}), ("cos", {"input_frac": 4}), ("hswish", {"tables": "writable"}),
]  # fmt: skip


@pytest.mark.parametrize(("op", "options"), REDUCED)
def test_a_unit_is_its_core_scaled_and_offset(op, options):
    spec = design(Request(op, 8, entries=4, arch="pwl", **options), "pwl").bare
    ((_, table),) = spec.tables()
    problem = problem_of(spec, FUNCTIONS[op])
    # It is what was fitted.
    assert problem.digest() == table.meta["problem"]
    roots = ("reciprocal", "rsqrt", "sqrt", "log")  # of which 0 has a result of its own
    codes = spec.input.codes()[op in roots :]
    how = reduced(spec, codes)
    exact = FUNCTIONS[op](spec.input.real(codes))
    inside = spec.output.clip(exact) == exact
    assert inside.mean() >= 0.5
    y = how.offset + how.scale * problem.core(how.argument)
    # But for what the tables do not see, and for arguments without an own result.
    assert np.abs(y - exact)[inside].max() < 1.0 * spec.output.scale
    # The lines in the core's place give what the unit gives.
    if table.fold is None:
        y = how.offset + how.scale * table.line(how.argument)
        found = spec.output.real(spec.compute(codes))
        assert np.abs(y - found)[inside].max() < 1.6 * spec.output.scale


@pytest.mark.parametrize("op", ["layernorm", "rmsnorm", "softmax"])
def test_the_problems_of_row_units_are_those_that_were_fitted(op):
    spec = design(Request(op, entries=4, length=8), "pwl").bare
    units = [spec] if op != "softmax" else [spec.exp, spec.reciprocal]
    for unit in units:
        ((_, table),) = (pair for pair in unit.tables() if isinstance(pair[1], PwlTable))
        assert problem_of(unit).digest() == table.meta["problem"]


@pytest.mark.parametrize("unit", ["softmax", "gelu", "layernorm"])
def test_a_layer_with_networks_is_what_the_hardware_computes(plan, seen, unit):
    at = served(plan, seen, unit)
    layer = _layer(unit, plan.units[unit], at, 0)
    with torch.no_grad():
        loss = layer.loss(torch.arange(layer.count) if layer.count else None).item()
    (measured,) = layer_error(_with_networks(plan.units[unit], layer, {}), at).values()
    assert loss == pytest.approx(measured, rel=0.15)


def test_exp_learns_by_the_fraction_too(seen):
    before = planned(seen, "softmax", fold="auto")
    after = train_tables(before, seen, steps=STEPS)
    note = after.meta["nnlut"]["softmax"]
    assert note["taken"] is True
    assert note["after"][SITE["softmax"]] < 0.9 * note["before"][SITE["softmax"]]
    names = ["exp.fraction", "reciprocal.mantissa"]
    assert [*lines(after.units["softmax"].spec)] == names


def test_the_layers_error_falls_where_the_data_are_narrow(tuned, plan, seen):
    for unit, factor in (("softmax", 0.8), ("gelu", 0.1), ("layernorm", 0.8)):
        note = tuned.meta["nnlut"][unit]
        assert note["taken"] is True
        assert note["steps"] == STEPS
        ((site, before),) = note["before"].items()
        assert note["after"][site] < factor * before
        # What it says is what the units do.
        for which, error in ((plan, note["before"]), (tuned, note["after"])):
            assert layer_error(which.units[unit], served(plan, seen, unit)) == error
        errors = tuned.meta["relative_errors"], plan.meta["relative_errors"]
        assert errors[0][site] < errors[1][site]


def test_sites_and_formats_stay(tuned, plan):
    assert tuned.sites == plan.sites
    for name, unit in tuned.units.items():
        old = plan.units[name]
        assert replace(unit, spec=old.spec) == old
        assert [*lines(unit.spec)] == [*lines(old.spec)]
        for key, table in lines(unit.spec).items():
            was = lines(old.spec)[key]
            assert table.sha256 != was.sha256
            assert table.entries <= was.meta["entries"]
            for field in ("input", "output", "slope", "intercept", "fold"):
                assert getattr(table, field) == getattr(was, field)
    assert Plan.from_json(tuned.to_json()).to_json() == tuned.to_json()


def test_a_table_notes_the_network_that_it_equals(tuned):
    unit = tuned.units["gelu"]
    table = lines(unit.spec)["table"]
    network = nnlut_fit.Network(*(np.array(table.meta["network"][name]) for name in "mnb"))
    x = table.input.real(table.input.codes())
    error = np.abs(table.line(x) - network(x))
    # But for the rounding of the breakpoints.
    assert np.median(error) < table.output.scale
    assert error.max() < table.input.scale
    assert table.meta["train_tables"]["steps"] == STEPS


def test_it_is_deterministic_and_goes_on(plan, tuned, seen):
    threads = torch.get_num_threads()
    once, other = (train_tables(plan, seen, units=["layernorm"], steps=30, seed=s) for s in (0, 1))
    assert train_tables(plan, seen, units=["layernorm"], steps=30).to_json() == once.to_json()
    assert once.to_json() != other.to_json()
    assert once.units["gelu"] == plan.units["gelu"]
    assert torch.get_num_threads() == threads
    again = train_tables(tuned, seen, units=["gelu"], steps=30).meta["nnlut"]
    assert again["gelu"]["before"] == tuned.meta["nnlut"]["gelu"]["after"]
    assert again["softmax"] == tuned.meta["nnlut"]["softmax"]


def test_worse_tables_are_reported_and_left(tuned, seen):
    worse = train_tables(tuned, seen, units=["gelu"], steps=3, lr=50.0)
    note = worse.meta["nnlut"]["gelu"]
    assert note["taken"] is False
    assert note["after"][SITE["gelu"]] > note["before"][SITE["gelu"]]
    assert worse.units == tuned.units
    assert worse.meta["relative_errors"] == tuned.meta["relative_errors"]


def test_other_tables_are_compared_with_a_network_that_is_fitted_first(seen):
    optimal = planned(seen, "layernorm", fit="optimal")
    same = train_tables(optimal, seen, steps=20, seed=1)
    assert same.meta["nnlut"]["layernorm"]["taken"] is False
    assert same.units == optimal.units
    # Equal segments do not know where the arguments are.
    poor = planned(seen, "gelu", fit="linear")
    better = train_tables(poor, seen, steps=STEPS, seed=1)
    assert better.meta["nnlut"]["gelu"]["taken"] is True
    fits = [which.units["gelu"].request.fit for which in (poor, better)]
    assert fits == ["linear", "nn"]
    assert lines(better.units["gelu"].spec)["table"].meta["method"] == "nn"


def test_a_floor_holds_what_was_not_seen(plan, seen):
    errors = [
        lines(train_tables(plan, seen, units=["gelu"], steps=STEPS, floor=f).units["gelu"].spec)[
            "table"
        ].meta["errors"]["line_mse"]
        for f in (0.0, 0.5)
    ]
    assert errors[1] < 0.7 * errors[0]


def test_several_sites_count_alike():
    """A site of tiny results is not drowned by one of large ones."""

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.low, self.high = nn.GELU(), nn.GELU()

        def forward(self, x):
            return self.low(x), self.high(x + 5.0)

    seen = observe(Two(), narrow())
    note = train_tables(planned(seen, "gelu"), seen, steps=STEPS).meta["nnlut"]["gelu"]
    assert note["after"]["low.gelu"] < 0.2 * note["before"]["low.gelu"]
    assert note["after"]["high.gelu"] < note["before"]["high.gelu"] + 0.01


def test_divergence_is_a_failed_step(plan, seen):
    with pytest.raises(StepError, match="gelu must not diverge: a smaller lr may help"):
        train_tables(plan, seen, units=["gelu"], steps=9, lr=1e200)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be an integer of at least 1, not 0"),
        ({"lr": -1}, "lr must be a positive number, not -1"),
        ({"floor": 1.0}, "floor must be 0 to below 1, not 1.0"),
        ({"units": ["tanh"]}, "a unit must be one of softmax, gelu, layernorm, not 'tanh'"),
    ],
)
def test_wrong_options_are_refused(plan, seen, options, message):
    with pytest.raises(UsageError) as caught:
        train_tables(plan, seen, **options)
    assert str(caught.value) == message


def test_what_cannot_be_calibrated_is_named(plan, seen):
    with pytest.raises(UsageError) as caught:
        train_tables(plan, {})
    assert str(caught.value) == (
        "observations must have the site softmax.softmax, which unit softmax serves"
    )
    with pytest.raises(UsageError) as caught:
        train_tables(plan, seen | {SITE["softmax"]: seen[SITE["gelu"]]})
    assert str(caught.value) == "site softmax.softmax must be a softmax, as planned, not a gelu"
    for op, options, kind in (
        ("gelu", {"arch": "direct"}, "direct, direct"),
        ("softmax", {"method": "rexp"}, "rexp, direct"),
    ):
        other = plan_of(seen, ops=(op,), options={op: options})
        with pytest.raises(UsageError) as caught:
            train_tables(other, seen)
        assert str(caught.value) == (
            f"unit {op} must be of one operation by tables of lines to be calibrated, "
            f"not of kind {kind}"
        )
    unserved = Plan(plan.units, {}, {})
    assert train_tables(unserved, seen).units == plan.units
    with pytest.raises(UsageError, match="unit gelu must serve a site to be calibrated"):
        train_tables(unserved, seen, units=["gelu"])


def test_a_damaged_network_is_refused(plan, seen):
    unit = plan.units["gelu"]
    table = lines(unit.spec)["table"]
    damaged = replace(table, meta=table.meta | {"network": {"m": [1.0], "n": [], "b": [1.0]}})
    spec = replace(unit.spec, table=damaged)
    units = {"gelu": PlannedUnit(unit.request, unit.arch, spec)}
    sites = plan.served("gelu")
    with pytest.raises(UsageError, match="a table's network must be three lists of as many"):
        train_tables(Plan(units, sites, {}), seen)
