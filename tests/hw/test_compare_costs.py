"""`python -m hw.compare`: what it runs, what it writes, and what it tells of a change."""

import json
from copy import deepcopy

import pytest
from building import one_error

from hw.compare import command
from hw.compare.baseline import changes
from hw.compare.document import BLOCKS, blocks, fill
from hw.compare.figures import draw, pareto
from hw.compare.points import FUNCTIONS, GROUPS, Point, points
from hw.compare.results import joined, run
from hw.compare.targets import Target, parse_library, targets
from hw.design import design
from hw.synth import GENERIC_LIBERTY
from nnlut_train.errors import UsageError

GELU = (("op", "gelu"), ("bits", 4))
SMALL = [Point("functions", (*GELU, ("entries", 16)), "pwl"), Point("functions", GELU, "direct")]


@pytest.fixture(scope="module")
def results():
    chosen = targets(["generic", "ice40"], [])
    return {"schema": 1, "points": list(run(SMALL, chosen, jobs=2))}


def test_every_group_has_points_that_can_be_asked_for():
    found = points(tuple(GROUPS))
    assert {point.group for point in found} == set(GROUPS)
    assert len({(point.group, point.name) for point in found}) == len(found)
    for point in found:
        assert point.arch in point.request.possible, point


def test_a_record_has_error_and_costs(results):
    pwl, direct = results["points"]
    spec = design(SMALL[0].request, "pwl")
    assert (pwl["op"], pwl["bits"], pwl["arch"], pwl["kind"]) == ("gelu", 4, "pwl", spec.kind)
    assert pwl["latency"] == "3 clocks"
    assert direct["max_ulp"] <= 0.5
    assert pwl["costs"]["generic"]["area"] > direct["costs"]["generic"]["area"] > 0
    assert direct["costs"]["ice40"]["luts"] > 0
    assert "cells" not in direct["costs"]["ice40"]


def test_tables_and_document(results):
    made = blocks(results)
    assert set(made) == {"functions", "chosen"} <= set(BLOCKS)
    area = f"{results['points'][1]['costs']['generic']['area']:,.1f} GE"
    assert f"| gelu_int4 direct | {results['points'][1]['max_ulp']:.4f} |" in made["functions"]
    assert area in made["functions"]
    page = "a\n<!-- cost: functions -->\nold\n<!-- /cost -->\nb\n<!-- cost: rows -->\nkept\n"
    page += "<!-- /cost -->\n"
    filled = fill(page, made)
    assert "old" not in filled
    assert "kept" in filled
    assert area in filled
    assert fill(filled, made) == filled


def test_changes_are_told(results):
    assert changes(results, results) == []
    later = deepcopy(results)
    later["points"][0]["costs"]["generic"]["area"] *= 1.5
    (line,) = changes(results, later)
    assert line.startswith("functions: gelu_int4 pwl entries=16, generic: area ")
    assert line.endswith("(+50.0 %)")
    del later["points"][1]
    assert changes(results, later)[-1].endswith("figures are gone")


def test_a_run_keeps_what_it_does_not_compare():
    """And nothing of other tools, or of units that are compared no more."""
    first, second = points(("functions",))[:2]
    said = {"tools": {"yosys": "1"}, "targets": {}}

    def result(*chosen, **more):
        return {**said, "commands": {"functions": "new"}, "points": [
            {"group": point.group, "name": point.name, **more} for point in chosen
        ]}  # fmt: skip

    old = result(first, second, size=1)
    old["points"].append({"group": "functions", "name": "gone"})
    old["commands"] = {"rows": "old", "functions": "old"}
    both = joined(old, result(second, size=2))
    assert [(point["name"], point["size"]) for point in both["points"]] == [
        (first.name, 1), (second.name, 2)
    ]  # fmt: skip
    assert both["commands"] == {"rows": "old", "functions": "new"}
    new = result(second, size=2)
    assert joined({**old, "tools": {"yosys": "2"}}, new) == new


def test_pareto():
    assert pareto([(3, 1), (1, 3), (2, 3), (2, 2), (4, 1)]) == [(1, 3), (2, 2), (3, 1)]


def test_figure(results, tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra plot")
    draw(results, "generic", ["gelu"], tmp_path / "pareto.svg")
    text = (tmp_path / "pareto.svg").read_text()
    assert text.startswith("<?xml")
    draw(results, "generic", ["gelu"], tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == text


def test_library():
    assert parse_library(f"mine@2.5={GENERIC_LIBERTY.parent}/*.lib") == Target(
        "mine", "generic", (GENERIC_LIBERTY,), 2.5
    )
    assert parse_library(f"mine={GENERIC_LIBERTY}").clock_ns is None
    for wrong in ("x", "generic=a.lib", f"a@0={GENERIC_LIBERTY}", f"a@b={GENERIC_LIBERTY}", "1=a"):
        with pytest.raises(UsageError, match=r"^--library must be NAME@CLOCK_NS=FILE,FILE"):
            parse_library(wrong)
    with pytest.raises(UsageError, match=r"^--library a: none\.lib must be a file, or fit some"):
        parse_library("a=none.lib")
    with pytest.raises(UsageError, match="each --library must have a name of its own"):
        targets([], [Target("a", "generic"), Target("a", "generic")])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "nothing"], "--only must be in the name of a unit, not 'nothing'"),
        (["--jobs", "0"], "--jobs must be at least 1, not 0"),
        (["--baseline", "none.json"], "--baseline must be the results.json of a comparison, not"),
        (["--document", "none.md"], "--document must be a file that can be read, not none.md"),
    ],
)
@pytest.mark.usefixtures("own_folder")
def test_wrong_use(words, message, capsys):
    assert command.main(words) == 2
    assert one_error(capsys, "hw.compare").startswith(message)


@pytest.mark.usefixtures("own_folder")
def test_command(monkeypatch, capsys, results):
    monkeypatch.setattr(command, "run", lambda *_, **__: iter(results["points"]))
    with open("before.json", "w") as file:
        json.dump(results, file)
    with open("page.md", "w") as file:
        file.write("<!-- cost: chosen -->\n<!-- /cost -->\n")
    monkeypatch.setattr(command, "FUNCTIONS", FUNCTIONS[1:2])
    words = ["--out", "out", "--baseline", "before.json", "--document", "page.md", "--no-cache"]
    assert command.main(words) == 0
    out = capsys.readouterr().out
    assert "nothing changed" in out
    with open("out/results.json") as file:
        assert json.load(file)["points"] == results["points"]
    with open("page.md") as file:
        assert "| gelu | 4 | generic |" in file.read()
