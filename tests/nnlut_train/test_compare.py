"""The comparison: one harness for all methods, resumable, and reports made from its JSON."""

import argparse
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nnlut_train import compare, files, fit, protocol
from nnlut_train.compare import jobs, measurement, report
from nnlut_train.errors import UsageError
from nnlut_train.files import from_json
from nnlut_train.fit import nn

ANCHORS = Path(__file__).parents[2].parent / "shared" / "anchors" / "gqa_lut"
FAST = ["--functions", "gelu", "rsqrt", "--entries", "2", "--bits", "8", "--methods", "optimal"]


@pytest.fixture
def figures():
    pytest.importorskip("matplotlib", reason="the comparison draws figures")


@pytest.fixture(autouse=True)
def _no_figures(request, monkeypatch):
    """Draw only where a test asks for figures: drawing takes longer than fitting."""
    if "figures" not in request.fixturenames:
        monkeypatch.setattr(compare.figures, "require", lambda: None)
        monkeypatch.setattr(compare.figures, "draw", lambda results: {})


@pytest.fixture
def coin(monkeypatch):
    """Add a method that takes no time, draws random numbers, and counts its calls."""
    calls = []

    def solve(problem, seed, progress):
        calls.append((problem.function, seed))
        if problem.function == "exp":
            raise UsageError("coin cannot fit exp")
        rng = np.random.default_rng(seed)
        return [problem.input.min + 1 + seed], *rng.integers(-9, 9, (2, 2)), {"calls": 1}

    monkeypatch.setitem(fit.METHODS, "coin", 1)
    monkeypatch.setattr(jobs, "RANDOM", (*jobs.RANDOM, "coin"))
    monkeypatch.setattr(report, "RANDOM", jobs.RANDOM)
    monkeypatch.setitem(sys.modules, "nnlut_train.fit.coin", SimpleNamespace(solve=solve))
    return calls


def run(folder, *options):
    parser = argparse.ArgumentParser()
    compare.configure(parser)
    arguments = ["--out", folder / "fitting", "--work", folder / "work", "--jobs", "1", *options]
    compare.run(parser.parse_args([str(argument) for argument in arguments]))
    return json.loads((folder / "fitting" / "results.json").read_text())


def without_times(results):
    rows = [{k: v for k, v in r.items() if "seconds" not in k} for r in results["results"]]
    return results | {"results": rows}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_row_says_what_was_fitted_and_how_far_off_it_is(tmp_path):
    results = run(tmp_path, *FAST)
    rows = [row for row in results["results"] if row["scale"] is None]
    assert [row["function"] for row in rows] == ["gelu", "rsqrt"]
    for row in rows:
        problem = protocol.problem(row["function"], 2)
        table = from_json(row["table"])
        best = fit.fit(problem, cache=False)
        assert table == best
        assert row["sha256"] == best.sha256
        assert row["used_entries"] == best.entries
        assert row["cost"] == best.meta["cost"]
        assert row["metrics"]["average_mse"] == pytest.approx(row["cost"])
        scales = [str(form.frac) for form in problem.shared] or ["5"]
        assert list(row["metrics"]["scale_mse"]) == scales
    own = [row for row in results["results"] if row["scale"] is not None]
    assert [(row["function"], row["scale"]) for row in own] == [("gelu", s) for s in range(7)]
    for row in own:  # a table of its own is no worse at its scale
        shared = rows[0]["metrics"]["scale_mse"][str(row["scale"])]
        assert row["metrics"]["average_mse"] <= shared * (1 + 1e-12)


def test_exp_has_a_table_of_its_own_at_the_coarsest_scale():
    item = jobs.Fit("exp", 2, 8, "optimal", 0, 0)
    assert "error" not in item.perform()


def test_two_processes_give_what_one_gives(tmp_path):
    options = [*FAST, "--seeds", "2"]
    one = run(tmp_path / "one", *options)
    two = run(tmp_path / "two", *options, "--jobs", "2")
    assert without_times(one) == without_times(two)


def test_every_seed_is_reported_beside_the_median(tmp_path, coin):
    options = ["--functions", "gelu", "--entries", "2", "--bits", "8", "--seeds", "3"]
    results = run(tmp_path, *options, "--methods", "optimal", "coin")
    rows = [row for row in results["results"] if row["method"] == "coin"]
    assert [row["seed"] for row in rows] == [0, 1, 2] == [seed for _, seed in sorted(coin)]
    assert all(row["table"]["meta"]["calls"] == 1 for row in rows)
    text = (tmp_path / "fitting.md").read_text()
    values = [row["metrics"]["average_mse"] for row in rows]
    numbers = [report._number(v) for v in [sorted(values)[1], min(values), max(values)]]
    each = ", ".join(report._number(v) for v in values)
    assert f"| gelu, 2 | coin | {' | '.join(numbers)} | {each} |" in text
    assert "| coin, median of 3 |" in text


def test_what_a_method_cannot_do_is_reported_and_not_kept(tmp_path, coin):
    options = ["--functions", "exp", "--entries", "2", "--bits", "8", "--methods", "coin"]
    results = run(tmp_path, *options, "--seeds", "1")
    assert results["results"][0]["error"] == "coin cannot fit exp"
    assert (
        "* coin, exp-2, 8 bits: not fitted: coin cannot fit exp"
        in (tmp_path / "fitting.md").read_text()
    )
    assert not (tmp_path / "work").exists()


def test_a_stopped_run_goes_on(tmp_path, coin, monkeypatch):
    options = ["--functions", "gelu", "rsqrt", "--entries", "2", "--bits", "8", "--seeds", "2",
               "--methods", "coin"]  # fmt: skip
    write = jobs.write_bytes

    def stop(path, data):
        if len(coin) == 3:
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(jobs, "write_bytes", stop)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, *options)
    monkeypatch.setattr(jobs, "write_bytes", write)
    assert len(coin) == 3
    assert not (tmp_path / "fitting").exists()
    assert len(contents(tmp_path / "work")) == 2
    results = run(tmp_path, *options)
    assert len(coin) == 3 + 2  # the third again, and the fourth
    fresh = run(tmp_path / "fresh", *options)
    assert without_times(results) == without_times(fresh)
    run(tmp_path, *options)
    assert len(coin) == 5 + 4


def test_half_a_write_leaves_nothing(tmp_path, monkeypatch):
    files.write_bytes(tmp_path / "file", b"old")

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        files.write_bytes(tmp_path / "file", b"new")
    assert contents(tmp_path) == {"file": b"old"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"[]",
        lambda data: b'{"result": {}, "checksum": ""}',
        lambda data: data.replace(b'"seconds": ', b'"seconds": 1000000'),
        lambda data: data.replace(b'"s10.6"', b'"s12.6"'),
    ],
)
def test_a_damaged_job_is_done_again(tmp_path, coin, damage):
    options = ["--functions", "gelu", "--entries", "2", "--bits", "8", "--seeds", "1",
               "--methods", "coin"]  # fmt: skip
    run(tmp_path, *options)
    (job,) = (tmp_path / "work").iterdir()
    data = job.read_bytes()
    assert damage(data) != data
    job.write_bytes(damage(data))
    results = run(tmp_path, *options)
    assert len(coin) == 2
    assert results["results"][0]["seconds"] < 1000000
    assert json.loads(job.read_bytes())["result"]["table"] == json.loads(data)["result"]["table"]


def test_a_new_revision_is_fitted_anew(tmp_path, coin, monkeypatch):
    options = ["--functions", "gelu", "--entries", "2", "--bits", "8", "--seeds", "1",
               "--methods", "coin"]  # fmt: skip
    run(tmp_path, *options)
    monkeypatch.setitem(fit.METHODS, "coin", 2)
    run(tmp_path, *options)
    assert len(coin) == 2
    monkeypatch.setitem(fit.METHODS, "optimal", 99)
    run(tmp_path, *options)
    assert len(coin) == 2


def test_one_network_serves_all_widths(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="NN-LUT is trained with torch")
    monkeypatch.setattr(nn, "STEPS", 50)
    trainings = []
    train = nn.train

    def counted(*arguments, **options):
        trainings.append(arguments)
        return train(*arguments, **options)

    monkeypatch.setattr(nn, "train", counted)
    options = ["--functions", "gelu", "rsqrt", "--entries", "4", "--bits", "8", "12"]
    results = run(tmp_path, *options, "--methods", "nn", "--seeds", "1")
    assert len(trainings) == 2
    for row in results["results"]:
        problem = protocol.problem(row["function"], 4, row["bits"])
        alone = fit.fit(problem, "nn", cache=False)
        assert row["sha256"] == alone.sha256
        meta = row["table"]["meta"]
        for name in ("dead_breakpoints", "loss", "cost", "steps"):
            assert meta[name] == alone.meta[name]
    assert (
        f" [{results['results'][0]['table']['meta']['dead_breakpoints']}] |"
        in (tmp_path / "fitting.md").read_text()
    )
    # Another schedule is another network.
    monkeypatch.setattr(nn, "STEPS", 100)
    run(tmp_path, *options, "--methods", "nn", "--seeds", "1")
    assert len(trainings) == 2 + 4 + 2


def test_the_report_depends_on_nothing_but_the_json(tmp_path, figures, coin):
    run(tmp_path, *FAST, "coin", "--seeds", "2")
    before = contents(tmp_path / "fitting") | {"text": (tmp_path / "fitting.md").read_bytes()}
    shutil.rmtree(tmp_path / "work")
    for path in (tmp_path / "fitting").iterdir():
        if path.name != "results.json":
            path.unlink()
    (tmp_path / "fitting.md").unlink()
    run(tmp_path, "--only-report")
    after = contents(tmp_path / "fitting") | {"text": (tmp_path / "fitting.md").read_bytes()}
    assert after == before
    assert {name for name in after if name.endswith(".svg")} == {
        "average_mse.svg", "mse_time.svg", "gelu_error.svg"
    }  # fmt: skip


def test_figures_without_matplotlib_are_refused_before_the_work(
    tmp_path, figures, coin, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"figures need matplotlib: pip install 'nnlut\[plot\]'"):
        run(tmp_path, *FAST, "coin")
    assert not coin


def test_nn_without_torch_is_refused_before_the_work(tmp_path, coin, monkeypatch):
    monkeypatch.setattr(compare, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="nn needs torch"):
        run(tmp_path, "--methods", "coin", "nn")
    assert not coin


def test_what_people_wrote_stays(tmp_path):
    text = tmp_path / "fitting.md"
    text.write_text("Before.\n<!-- begin summary -->\nold\n<!-- end summary -->\nAfter.\n")
    run(tmp_path, *FAST)
    written = text.read_text()
    assert written.startswith("Before.\n<!-- begin summary -->\n\n2 entries:\n")
    assert written.endswith("\n\n<!-- end summary -->\nAfter.\n")
    assert "old" not in written
    run(tmp_path, "--only-report")
    assert text.read_text() == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- begin summary -->\n", "begin summary must be followed by its end"),
        ("<!-- end summary -->\n<!-- begin summary -->\n", "end summary must be followed"),
        ("<!-- begin summary -->\n<!-- end grid -->\n", "must be followed by its end"),
        ("<!-- begin nothing -->\n<!-- end nothing -->\n", "must be one of .* not nothing"),
    ],
)
def test_wrong_marks_are_found_before_the_work(tmp_path, coin, text, message):
    (tmp_path / "fitting.md").write_text(text)
    with pytest.raises(UsageError, match=message):
        run(tmp_path, "--methods", "coin")
    assert not coin


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "magic"], "--methods must be of .* not 'magic'"),
        (["--functions", "sin"], "--functions must be of .* not 'sin'"),
        (["--methods", "optimal", "optimal"], "twice"),
        (["--entries", "1"], "--entries must be 2 to 64, not 1"),
        (["--bits", "8", "17"], "--bits must be 6 to 16, not 17"),
        (["--seeds", "0"], "--seeds must be 1 or more"),
        (["--jobs", "0"], "--jobs must be 1 or more"),
        (["--weights", "none.npz"], "FUNCTION=FILE"),
        (["--functions", "gelu", "--weights", "none.npz"], "none.npz: cannot be read"),
        (["--weights", "gelu=none.npz"], r"none\.npz: cannot be read"),
        (["--anchors", "nowhere"], "must hold files such as gelu_pwl_7"),
        (["--only-report"], r"results\.json: cannot be read"),
    ],
)
def test_wrong_options_are_one_line(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message) as caught:
        run(tmp_path, *FAST, *options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "fitting").exists()
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"schema": 99}', '{"schema": 1, "results": [], "anchors": []}']
)
def test_other_json_is_refused(tmp_path, content):
    (tmp_path / "fitting").mkdir()
    (tmp_path / "fitting" / "results.json").write_text(content)
    with pytest.raises(UsageError, match=r"results\.json: must be"):
        run(tmp_path, "--only-report")
    assert contents(tmp_path) == {"results.json": content.encode()}


def test_a_measured_histogram_replaces_the_stand_in(tmp_path):
    np.savez(tmp_path / "h.npz", edges=[-0.5, 0.5], counts=[7])
    assumed = run(tmp_path, *FAST)
    measured = run(tmp_path, *FAST, "--weights", f"gelu={tmp_path / 'h.npz'}")
    assert measured["functions"] == {
        "gelu": "measured: h.npz", "rsqrt": "assumed: uniform in the logarithm of x",
    }  # fmt: skip
    table = from_json(measured["results"][0]["table"])
    x = np.arange(-4, 4, 0.01)
    x = x[(x >= -0.5) & (x <= 0.5)]
    want = np.mean((table.line(x) - protocol.CASES["gelu"].function(x)) ** 2)
    pairs = [results["results"][0]["metrics"] for results in (assumed, measured)]
    assert pairs[1]["weighted_mse"] == pytest.approx(want)
    assert pairs[0]["weighted_mse"] != pairs[1]["weighted_mse"]
    assert pairs[0]["grid_mse"] == pairs[1]["grid_mse"]


def anchor(**changes):
    table = {"breakpoints": [-1.0, 0.0, 0.0], "slopes": [0.0, 0.5, 9.0, 1.0],
             "intercepts": [0.0, 0.25, -1.0, 0.5]} | changes  # fmt: skip
    table["slopes"] = [min(s, 1.5) for s in table["slopes"]]
    return {"gelu": {str(scale): table for scale in protocol.SCALES}}


def test_breakpoints_that_coincide_leave_a_segment_without_arguments(tmp_path):
    (tmp_path / "gelu_pwl_7.json").write_text(json.dumps(anchor()))
    (found,) = measurement.load_anchors(tmp_path)
    x = np.arange(-4, 4, 0.01)
    line = np.where(x < -1, 0.0, np.where(x < 0, 0.5 * x + 0.25, x + 0.5))
    measured = measurement.measure_anchor(found, np.ones_like)
    want = np.mean((line - protocol.CASES["gelu"].function(x)) ** 2)
    assert measured["metrics"]["grid_mse"] == pytest.approx(want)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "gelu"),
        ([], "must be a table of GQA-LUT"),
        (anchor(breakpoints=[0.0]), "one less"),
        (anchor(breakpoints=[0.0, -1.0, 0.0]), "ascend"),
        (anchor(intercepts=[0.0, 0.1, 0.0, 0.0]), r"multiples of 2\*\*-6"),
        (anchor(intercepts=[0.0, "x", 0.0, 0.0]), "must be a table of GQA-LUT"),
        (anchor(intercepts=[0.0, 4.0, 0.0, 0.0]), "must be -128 to 127"),
    ],
)
def test_other_anchors_are_refused(tmp_path, data, message):
    (tmp_path / "gelu_pwl_7.json").write_text(json.dumps(data))
    with pytest.raises(UsageError, match=message):
        measurement.load_anchors(tmp_path)


#: As REFERENCES has them: average over the scales, and grid, to the printed digits.
RECORDED = {
    ("gelu", 8): ("9.97e-05", "7.22e-05"), ("gelu", 16): ("9.06e-05", "1.61e-05"),
    ("hswish", 8): ("3.08e-04", "3.33e-04"), ("hswish", 16): ("2.00e-04", "1.84e-05"),
    ("exp", 8): ("1.22e-04", "1.93e-05"), ("exp", 16): ("8.38e-05", "2.21e-05"),
}  # fmt: skip


@pytest.mark.skipif(not ANCHORS.is_dir(), reason="GQA-LUT's own tables are not at hand")
def test_the_harness_reproduces_what_is_on_record_for_gqa_lut(tmp_path):
    found = {
        (row["function"], row["entries"]): measurement.measure_anchor(row, np.ones_like)
        for row in measurement.load_anchors(ANCHORS)
    }
    printed = {
        key: tuple(f"{row['metrics'][name]:.2e}" for name in ("average_mse", "grid_mse"))
        for key, row in found.items()
    }
    assert printed == RECORDED
    assert f"{found['hswish', 8]['metrics']['grid_mse']:.3e}" == "3.325e-04"
    scales = found["gelu", 8]["metrics"]["scale_mse"].values()
    assert [f"{v:.1e}" for v in scales] == [
        "1.2e-04", "1.4e-04", "1.0e-04", "7.6e-05", "7.3e-05", "7.2e-05", "1.1e-04",
    ]  # fmt: skip
    # Once measured, they stay in the results.
    first = run(tmp_path, *FAST, "--anchors", ANCHORS)
    assert run(tmp_path, *FAST)["anchors"] == first["anchors"]


def test_the_numbers_on_record_have_sources():
    path = Path(report.__file__).with_name("published.json")
    rows = json.loads(path.read_text())
    assert all(row["source"] for row in rows)
    recorded = {
        (row["function"], row["entries"], row["metric"]): float(row["value"])
        for row in rows if row["work"] == "GQA-LUT" and row["entries"] and "mse" in row["metric"]
    }  # fmt: skip
    for (function, entries), (average, grid) in RECORDED.items():
        assert recorded[function, entries, "average_mse"] == float(average)
        assert recorded[function, entries, "grid_mse"] == pytest.approx(float(grid), rel=2e-3)
