"""Plans and their files."""

import json
import subprocess
import sys

import numpy as np
import pytest
from plans import small_plan

from hw.catalogue import KINDS
from hw.design import design
from hw.plan import Plan, PlannedUnit
from hw.request import Request
from nnlut_train.errors import UsageError


@pytest.fixture(scope="module")
def plan():
    return small_plan()


def test_a_plan_is_read_back_as_it_was_written(plan, tmp_path):
    path = tmp_path / "new" / "plan.json"
    plan.save(path)
    read = Plan.load(path)
    assert read == plan
    assert list(read.sites) == list(plan.sites)
    assert read.to_json() == json.loads(path.read_text()) == plan.to_json()
    assert read.meta["seeds"] == [1, 2]
    assert [path.name for path in path.parent.iterdir()] == ["plan.json"]
    assert read.units["norm"].request.name == "norm"
    # What is not the default, and nothing that the specification or the unit's name says.
    assert plan.to_json()["units"]["act"]["request"] == {
        "op": "gelu,tanh", "bits": 6, "output_bits": 6, "entries": 4,
    }  # fmt: skip
    empty = Plan({}, {}, {})
    empty.save(path, force=True)
    assert Plan.load(path) == empty


def test_a_unit_computes_what_it_did(plan):
    read = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    for name, unit in plan.units.items():
        codes = np.random.default_rng(0).integers(
            unit.spec.input.min, unit.spec.input.max + 1, (20, 4)
        )
        assert np.array_equal(read.units[name].spec.compute(codes), unit.spec.compute(codes))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_unit_can_be_planned(kind):
    request = Request(**KINDS[kind])
    for arch in set(request.possible) & set(request.wanted):
        unit = PlannedUnit(request, arch, design(request, arch))
        assert PlannedUnit.from_json(json.loads(json.dumps(unit.to_json()))) == unit


def test_nothing_is_replaced_unless_it_is_asked_for(plan, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text("mine")
    with pytest.raises(UsageError, match=r"plan\.json is there already: --force replaces it$"):
        plan.save(path)
    assert path.read_text() == "mine"
    plan.save(path, force=True)
    assert Plan.load(path) == plan
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="link is there already"):
        plan.save(tmp_path / "link")
    for wrong in (tmp_path, path / "inside.json"):
        with pytest.raises(UsageError, match=f"^{wrong}: cannot be written: "):
            plan.save(wrong, force=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "plan.json"]


def test_the_rows_of_a_site_have_every_position(plan):
    spec = plan.units["norm"].spec
    one = spec.bare.gamma.values[0]
    assert plan.sites["norm.layernorm"].rows(spec) == {
        "gamma": [1, -2, 3, one, one, one], "beta": [4, 5, 6, 0, 0, 0],
    }  # fmt: skip
    assert plan.sites["layernorm"].rows(spec) == {"gamma": [one] * 6, "beta": [7] * 6}
    assert plan.sites["layer.0.softmax"].rows(plan.units["softmax8"].spec) == {}
    assert set(plan.served("norm")) == {"norm.layernorm", "layernorm"}


def test_a_plan_is_readable(plan):
    errors = {"layer.0.gelu": 1e-4, "layer.0.tanh": "none", "rmsnorm": -1}
    for meta, gelu in (({}, ""), ({"relative_errors": 3}, ""),
                       ({"relative_errors": errors}, "     rms error 1.00 %")):  # fmt: skip
        lines = str(Plan(plan.units, plan.sites, meta)).splitlines()
        assert len(lines) == len(plan.units) + len(plan.sites)
        clocks = plan.units["norm"].spec.latency_of(6)
        assert lines[0] == "softmax8: pwl, 4 entries, s6.2 to u6.6, 33 clocks for a row of 8"
        assert f"  layer.0.gelu{gelu}" in lines
        assert "  layer.0.tanh" in lines
        assert "silu8: direct, s8.5 to s8.5, 1 clock" in lines
        assert f"norm: pwl, 4 entries, s8.4 to s8.5, {clocks} clocks for a row of 6" in lines
    assert str(Plan({}, {}, {})) == ""


def test_neither_torch_nor_amaranth_is_needed():
    code = "import sys, hw.plan; print({'torch', 'amaranth', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
