"""What docs/accuracy.md shows is what its results say."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from statistics import fmean

import pytest

import nnlut_train.__main__
from hw.plan import Plan
from nnlut_train.evaluate import figures
from nnlut_train.evaluate.fidelity import Result

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "accuracy.md"
MODELS = ("minilm", "vit-digits")


def section(model):
    """Return what stands between the marks of a model."""
    text = PAGE.read_text(encoding="utf-8")
    (found,) = re.findall(rf"^<!-- {model} -->\n(.*?)^<!-- /{model} -->$", text, re.DOTALL | re.M)
    return found.strip("\n") + "\n"


@pytest.mark.parametrize("model", MODELS)
def test_the_tables_are_those_of_the_results(model):
    folder = ROOT / "docs" / "accuracy" / model
    assert section(model) == (folder / "table.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in section(model).splitlines()
    ]
    shown = {(row[0], row[1]): row[2] for row in rows if len(row) == 8}
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results["head"]["model"] == model
    scores = {}
    for key, row in results["rows"].items():
        name, ops, *_ = key.split(" | ")
        if "result" in row:
            place = ("exact, fp32", "none") if name == "exact" else (name, ops)
            scores.setdefault(place, []).append(Result.from_json(row["result"]).score)
    assert len(scores) >= 10
    for place, values in scores.items():
        mean = fmean(values)
        assert shown[place] == ("none" if mean != mean else f"{mean:.4f}")
    assert figures.read(folder / "results.json")


def test_the_commands_are_understood():
    text = PAGE.read_text(encoding="utf-8")
    commands = re.findall(r"^\.venv/bin/python -m nnlut_train (evaluate .*)$", text, flags=re.M)
    models = {nnlut_train.__main__.parser().parse_args(words.split()).model for words in commands}
    assert models == {*MODELS}


@pytest.mark.parametrize("model", MODELS)
def test_filling_takes_over_results_and_leaves_the_rest(tmp_path, model):
    done = tmp_path / "build" / "evaluate" / model
    shutil.copytree(ROOT / "docs" / "accuracy" / model, done)
    (done / "table.md").write_text("| a | b |\n")
    (tmp_path / "docs").mkdir()
    shutil.copy(PAGE, tmp_path / "docs")
    subprocess.run([ROOT / "tools" / "fill-accuracy", model], cwd=tmp_path, check=True)
    filled = (tmp_path / "docs" / "accuracy.md").read_text(encoding="utf-8")
    assert filled == PAGE.read_text(encoding="utf-8").replace(section(model), "| a | b |\n")
    plans = [f"plan-optimal-{n}-seed0.json" for n in (4, 8)] if model == "minilm" else []
    assert sorted(path.name for path in (tmp_path / "docs" / "accuracy" / model).iterdir()) == [
        "fidelity.svg", "loss.svg", *plans, "results.json", "table.md",
    ]  # fmt: skip


def test_the_reasons_of_the_collapses_are_those_of_the_uniform_tables():
    torch = pytest.importorskip("torch", reason="the tables need torch: pip install 'nnlut[train]'")
    from nnlut_train.evaluate.published import uniform_table

    rsqrt, reciprocal, exp = (uniform_table(f, 16) for f in ("rsqrt", "reciprocal", "exp"))
    assert rsqrt.breakpoints[0] == pytest.approx(64, abs=0.5)
    half, one, many = rsqrt(torch.tensor([0.5])), *reciprocal(torch.tensor([1.0, 23.0]))
    assert half.item() == pytest.approx(0.46, abs=0.005)
    assert reciprocal.breakpoints[0] == pytest.approx(65, abs=0.5)
    # A row's probabilities sum to its sum times what is read for 1 over it.
    assert one.item() == pytest.approx(0.17, abs=0.005)
    assert 23 * many.item() == pytest.approx(2.3, abs=0.05)
    assert exp.breakpoints[-1] == -16
    first, last = exp(torch.tensor([0.0, -16.0])).tolist()
    assert (first, last) == pytest.approx((0.23, -0.10), abs=0.005)


def test_the_rows_in_the_readme_are_those_of_the_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = json.loads((ROOT / "docs/accuracy/minilm/results.json").read_text())["rows"]
    for name, key in (
        ("all on hardware, 8 entries", "optimal, 8 entries | all"),
        ("all on hardware, 4 entries", "optimal, 4 entries | all"),
        ("exact, INT8 weights and activations", "INT8, exact | none"),
        ("all on hardware, 8 entries, INT8 weights and activations",
         "INT8, optimal, 8 entries | all | int8"),
    ):  # fmt: skip
        found = Result.from_json(rows[f"{key} | seed 0"]["result"])
        difference = f"{found.difference:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
        difference = "to INT8: " * key.endswith("int8") + difference.replace("-0.0000", "+0.0000")
        shown = f"| {name} | {found.score:.4f} | {difference} | {found.cosine:.5f} |"
        assert shown in text


@pytest.mark.parametrize("entries", [8, 4])
def test_the_plans_beside_the_page_are_plans(entries):
    plan = Plan.load(ROOT / f"docs/accuracy/minilm/plan-optimal-{entries}-seed0.json")
    assert sorted(plan.units) == ["gelu", "layernorm", "softmax"]
    assert len(plan.sites) == 25
    assert plan.units["gelu"].request.entries == entries
