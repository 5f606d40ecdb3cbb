"""Builds from a plan."""

import json
from dataclasses import replace

import numpy as np
import pytest
from building import build, content, one_error, small
from plans import planned
from writing import driver_of

from hw import choosing
from hw.build import build as build_unit
from hw.design import design
from hw.manifest import load_build
from hw.plan import Plan, PlannedSite, PlannedUnit
from hw.request import Request
from nnlut_train.errors import UsageError
from sim import run

TARGET = ["--target", "generic"]


def other_lines(unit):
    """Return the unit with lines that no fit would have."""
    table = unit.spec.table
    lines = replace(table, intercepts=tuple(value ^ 24 for value in table.intercepts))
    return replace(unit, spec=replace(unit.spec, table=lines))


@pytest.fixture
def plan(own_folder):
    """A plan of three units in ``small.plan.json``."""
    units = {
        "my_gelu": other_lines(planned("gelu", entries=4)),
        "my_softmax": planned("softmax", bits=4, length=4, entries=2),
        "my_norm": planned("layernorm", bits=8, length=4, entries=2, tables="writable"),
    }
    sites = {
        "0.gelu": PlannedSite("gelu", "my_gelu"),
        "0.layernorm": PlannedSite("layernorm", "my_norm", (100, -7, 3), (1, 2, 3)),
        "1.layernorm": PlannedSite("layernorm", "my_norm"),
    }
    plan = Plan(units, sites, {"model": "small"})
    plan.save("small.plan.json")
    return plan


@pytest.fixture
def no_fits(monkeypatch):
    def design(*_, **__):
        raise AssertionError("it fits")

    monkeypatch.setattr(choosing, "design", design)


def test_a_unit_is_built_from_its_own_specification(plan, no_fits, capsys, tmp_path):
    small("--plan", "small.plan.json", "--unit", "my_gelu")
    out, err = capsys.readouterr()
    assert out.startswith("my_gelu: INT8 gelu, ")
    assert "\n  other --arch  none: the plan has the specification\n" in out
    assert "my_softmax" not in out
    assert err == ""
    assert [path.name for path in (tmp_path / "build" / "small.plan").iterdir()] == ["my_gelu"]
    folder = tmp_path / "build" / "small.plan" / "my_gelu"
    found = load_build(folder)
    unit = plan.units["my_gelu"]
    assert found.spec() == unit.spec
    assert found.name == "my_gelu"
    assert found.manifest["architecture"] == "pwl"
    assert found.manifest["other_architectures"] == {}
    assert found.manifest["command"] == (
        "python -m hw.build --target generic --plan small.plan.json --unit my_gelu"
    )
    assert found.manifest["plan"] == {
        "checksum": plan.to_json()["checksum"],
        "sites": {"0.gelu": {"op": "gelu", "unit": "my_gelu"}},
    }
    # Measured as it is, and worse than what a fit finds.
    assert found.manifest["accuracy"]["max_ulp"] > 1
    before = content(folder)
    assert "tables/sites.json" not in before
    assert run.main(["--build", str(folder)]) == 0
    assert "results equal to the test vectors" in capsys.readouterr().out
    # Again, over itself.
    small("--plan", "small.plan.json", "--unit", "my_gelu")
    assert content(folder) == before


def test_every_unit_is_built_and_tells_its_sites(plan, no_fits, no_yosys, capsys, tmp_path):
    small("--plan", "small.plan.json", "--out", "chip")
    titles = [line for line in capsys.readouterr().out.splitlines() if line.startswith("my_")]
    assert [title.split(":")[0] for title in titles] == ["my_gelu", "my_softmax", "my_norm"]
    for name, unit in plan.units.items():
        found = load_build(tmp_path / "chip" / name)
        assert found.spec() == unit.spec
        assert found.manifest["plan"]["sites"] == {
            at: site.head() for at, site in plan.sites.items() if site.unit == name
        }
    files = content(tmp_path / "chip" / "my_norm")
    assert found.manifest["plan"]["tables"] == "tables/sites.json"
    rows = json.loads(files["tables/sites.json"])
    spec = plan.units["my_norm"].spec
    one = spec.bare.gamma.values[0]
    assert rows == {
        "0.layernorm": {"gamma": [100, -7, 3, one], "beta": [1, 2, 3, 0]},
        "1.layernorm": {"gamma": [one] * 4, "beta": [0] * 4},
    }
    # They are what the driver takes: codes of gamma, of beta, and the commit.
    of_site = {name: rows["0.layernorm"][name] for name in ("gamma", "beta")}
    writes = driver_of(spec, "my_norm").writes(of_site)
    sent = [np.uint32(code & 0xFFFFFFFF) for code in (100, -7, 3, one, 1, 2, 3, 0, 1)]
    assert [word for _, word in writes] == sent


def test_all_folders_are_looked_at_before_anything_is_built(plan, no_fits, capsys, tmp_path):
    mine = tmp_path / "build" / "small.plan" / "my_norm" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert build("--plan", "small.plan.json", *TARGET) == 2
    assert one_error(capsys).endswith("my_norm holds something else: mine.txt")
    assert [path.name for path in mine.parents[1].iterdir()] == ["my_norm"]


def test_units_are_not_put_into_a_build(plan, small_build, capsys):
    capsys.readouterr()
    before = content(small_build)
    assert build("--plan", "small.plan.json", "--out", small_build, *TARGET) == 2
    assert one_error(capsys) == (
        f"--out must be a folder for folders of units, not a build itself, {small_build}"
    )
    assert content(small_build) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "either --op or --plan must be given, and not both"),
        (["--plan", "small.plan.json", "--op", "gelu"], "either --op or --plan must be given, and"),
        (["--op", "gelu", "--unit", "x"], "--unit goes with --plan, not with --op"),
        (["--plan", "p.json"], "p.json: cannot be read: No such file or directory"),
        (["--plan", "."], ".: cannot be read: Is a directory"),
        (["--plan", "small.plan.json", "--unit", "my_gelu", "gelu"],
         "--unit must be one of my_gelu, my_softmax, my_norm, not 'gelu'"),
        (["--plan", "small.plan.json", "--bits", "8"], "--bits goes with --op, not with --plan"),
        (["--plan", "small.plan.json", "--name", "x"], "--name goes with --op, not with --plan"),
        (["--plan", "small.plan.json", "--input-frac", "3"], "--input-frac goes with --op, not "),
        (["--plan", "small.plan.json", "--mask", "--lanes", "2"], "--lanes goes with --op, not "),
        (["--plan", "small.plan.json", "--seed", "1"], "--seed goes with --op, not with --plan"),
        (["--plan", "small.plan.json", *TARGET, "--liberty", "no.lib"], "no.lib"),
    ],
)  # fmt: skip
def test_bad_words(plan, no_fits, capsys, tmp_path, words, message):
    assert build(*words) == 2
    assert message in one_error(capsys)
    assert not (tmp_path / "build").exists()


def test_a_norm_with_rows_of_its_sites_must_be_writable(own_folder, no_yosys, capsys):
    request = Request("layernorm", bits=8, length=4, entries=2)
    gains = design(replace(request, gamma=(1.0,) * 4), "pwl")
    unit = PlannedUnit(request, "pwl", gains)
    sites = {"0.layernorm": PlannedSite("layernorm", "norm", (1, 2))}
    Plan({"norm": unit}, sites, {}).save("plan.json")
    assert build("--plan", "plan.json", *TARGET) == 2
    assert one_error(capsys) == (
        "plan.json: units.norm: spec must be writable: the site 0.layernorm has its own gamma or "
        "beta"
    )
    Plan({}, {}, {}).save("none.json")
    assert build("--plan", "none.json", *TARGET) == 2
    assert one_error(capsys) == "none.json: units must have a unit to build"


def test_a_specification_goes_with_its_architecture(own_folder):
    unit = planned("gelu", entries=4)
    with pytest.raises(UsageError, match=r"^spec and arch must be given together$"):
        build_unit(unit.request, spec=unit.spec)
