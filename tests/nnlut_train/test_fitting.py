"""python -m nnlut_train fit: what it writes and prints, and that hardware can be built from it."""

import json
import shutil

import numpy as np
import pytest
from building import build
from fits import fit, listed, run

from nnlut_train import fitting, plot
from nnlut_train.errors import UsageError
from nnlut_train.files import load
from nnlut_train.fit import nn
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture
def no_pictures(monkeypatch):
    """Drawing takes longer than fitting."""
    monkeypatch.setattr(fitting, "find_spec", lambda name: None)


def printed(capsys):
    """Return the report's rows by their names."""
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert all(len(line) < 160 for line in lines)
    return {line[2:13].strip(): line[14:] for line in lines[1:] if line[2:13].strip()}


def measured(table, function, domain, weights=None):
    """Measure a table at every code with integers only, apart from the package's own metrics."""
    codes = np.arange(table.input.min, table.input.max + 1)
    x = codes / 2.0**table.input.frac
    inside = (x >= domain[0]) & (x <= domain[1])
    codes, x = codes[inside], x[inside]
    low, high = table.output.min / 2.0**table.output.frac, table.output.max / 2.0**table.output.frac
    exact = np.clip(function(x), low, high)
    ulp = np.abs(table.lookup(codes) - exact * 2.0**table.output.frac)
    q = np.minimum(np.abs(codes), table.fold.magnitude.max) if table.fold else codes
    i = np.searchsorted(np.array(table.breakpoints), q, side="right")
    line = np.array(table.slopes)[i] * q / 2.0 ** (table.slope.frac + table.input.frac)
    line += np.array(table.intercepts)[i] / 2.0**table.intercept.frac
    kind = table.fold.kind if table.fold else None
    if kind == "relu":
        line = np.maximum(x, 0) - line
    elif kind is not None:
        line = np.where(x < 0, (kind == "complement") - line, line)
    weights = np.ones(x.size) if weights is None else weights(x)
    error = np.abs(line - exact)
    return {
        "mse": (weights @ error**2) / weights.sum(), "max": error[weights > 0].max(),
        "max_ulp": ulp[weights > 0].max(), "rms_ulp": np.sqrt(np.mean(ulp[weights > 0] ** 2)),
        "codes": int((weights > 0).sum()),
    }  # fmt: skip


PLAIN = [
    ("gelu", ["--entries", 6], (-8, 8), FUNCTIONS["gelu"]),
    ("gelu", ["--fold", "auto", "--entries", 6], (-8, 8), FUNCTIONS["gelu"]),
    ("sigmoid", ["--fold", "auto", "--entries", 6], (-8, 8), FUNCTIONS["sigmoid"]),
    ("tanh", ["--fold", "auto", "--bits", 4], (-4, 4), FUNCTIONS["tanh"]),
    ("tanh", ["--bits", 10, "--entries", 5], (-4, 4), FUNCTIONS["tanh"]),
    ("exp", ["--domain=-3,0", "--bits", 6], (-3, 0), np.exp),
    ("exp", ["--fold", "auto"], (0, 1), np.exp2),
    ("reciprocal", ["--objective", "max"], (1 / 16, 16), np.reciprocal),
    ("reciprocal", ["--fold", "auto", "--bits", 6], (0, 1), lambda f: 1 / (1 + f)),
    ("rsqrt", ["--fold", "auto", "--bits", 6], (1, 4), lambda m: m**-0.5),
    ("fits:log1p", ["--domain=-0.5,2"], (-0.5, 2), np.log1p),
    ("fits:root", ["--domain", "0,3", "--fold", "auto"], (0, 3), np.sqrt),
    ("gelu", ["--limits=-0.125,9", "--exact-zero", "--bits", 6], (-8, 8), FUNCTIONS["gelu"]),
    ("tanh", ["--monotone", "--max-error", "0.7ulp", "--entries", 16], (-4, 4), np.tanh),
    ("gelu", ["--max-error", "0.15", "--objective", "mixed", "--mix", 2, "--bits", 6], (-8, 8),
     FUNCTIONS["gelu"]),
    ("gelu", ["--slope", "s4.2"], (-8, 8), FUNCTIONS["gelu"]),
    ("gelu", ["--input-frac", -10], (-8, 8), FUNCTIONS["gelu"]),
    ("gelu", ["--method", "linear"], (-8, 8), FUNCTIONS["gelu"]),
    ("gelu", ["--scales", "3"], (-8, 8), FUNCTIONS["gelu"]),
]  # fmt: skip


@pytest.mark.parametrize(("function", "words", "domain", "exact"), PLAIN)
@pytest.mark.usefixtures("no_pictures")
def test_the_report_is_what_the_written_table_does(
    tmp_path, capsys, function, words, domain, exact
):
    fit("--function", function, *words, "--out", "made/t.json")
    rows = printed(capsys)
    table = load(tmp_path / "made" / "t.json")
    own = measured(table, exact, domain)
    assert rows["lines"].startswith(f"MSE {own['mse']:.4e}, max {own['max']:.4e}, ")
    every = table.input.max - table.input.min + 1
    of = f" of {every:,}" if own["codes"] < every else ""
    assert rows["lines"].split(", ")[2].startswith(f"{own['codes']:,}{of} code")
    assert rows["output"] == f"max {own['max_ulp']:.3f} ulp, RMS {own['rms_ulp']:.3f} ulp"
    assert f"input {table.input}, output {table.output}, slope {table.slope}" in rows["formats"]
    assert rows["entries"].startswith((f"{table.entries} of ", f"{table.entries}, the fewest "))
    assert rows["written"] == "made/t.json"
    assert listed(tmp_path / "made") == ["t.json"]
    assert ("optimality" in rows) == ("linear" not in words)
    if "--fold" in words:
        assert len({"folded", "reduced", "not folded"} & set(rows)) == 1
    if "--exact-zero" in words:
        line = table.line(table.input.real(table.input.codes()))
        assert line.min() >= -0.125
        assert line.max() <= 9
        assert table.line(np.zeros(1)) == 0
    if "--max-error" in words:
        value = words[words.index("--max-error") + 1]
        most = 0.7 if value == "0.7ulp" else 0.15 / table.output.scale
        assert own["max_ulp"] <= most
    if "--monotone" in words:
        assert (np.diff(table.line(table.input.real(table.input.codes()))) >= 0).all()


@pytest.mark.usefixtures("no_pictures")
def test_weights_are_a_density_over_the_codes(tmp_path, capsys):
    edges, counts = np.array([-2.0, -1.0, 0.5, 3.0]), np.array([1, 6, 20])
    np.savez("h.npz", edges=edges, counts=counts)
    words = ["--objective", "weighted", "--weights", "h.npz", "--entries", 4]
    fit("--function", "gelu", *words, "--out", "t.json")
    rows = printed(capsys)

    def weights(x):
        density = counts / np.diff(edges)
        bins = [np.flatnonzero((edges[:-1] <= v) & (v <= edges[1:])) for v in x]
        return np.array([density[b[-1]] if b.size else 0.0 for b in bins])

    table = load("t.json")
    own = measured(table, FUNCTIONS["gelu"], (-8, 8), weights)
    expected = f"MSE {own['mse']:.4e}, weighted, max {own['max']:.4e}, {own['codes']} of 256 codes"
    assert rows["lines"] == f"{expected} from -2 to 3"
    fit("--function", "gelu", "--entries", 4, "--out", "plain.json")
    capsys.readouterr()
    plain = measured(load("plain.json"), FUNCTIONS["gelu"], (-8, 8), weights)
    assert own["mse"] < plain["mse"]


@pytest.mark.parametrize(
    ("function", "domain", "words"),
    [
        ("gelu", (-8, 8), ["--scales", "0..4", "--entries", 6]),
        ("exp", (-8, 0), ["--scales", "1,4"]),
        ("reciprocal", (1 / 16, 16), ["--scales", "0..2", "--bits", 6]),
        ("gelu", (-8, 8), ["--scales", "2,3", "--bits", 4, "--limits=-1,8", "--exact-zero"]),
    ],
)
@pytest.mark.usefixtures("no_pictures")
def test_every_scale_has_its_table(tmp_path, capsys, function, domain, words):
    fit("--function", function, *words, "--out", "t.json")
    rows = printed(capsys)
    scales = [0, 1, 2, 3, 4] if words[1] == "0..4" else [0, 1, 2] if ".." in words[1] else None
    scales = scales or [int(v) for v in words[1].split(",")]
    whole, means = load("t.json"), []
    for frac in scales:
        one = load(f"t.frac{frac}.json")
        assert one == whole.at(one.input)
        assert one.input.frac == frac
        own = measured(one, FUNCTIONS[function], domain)
        row = rows[f"scale 2^{-frac}"]
        assert row == (
            f"MSE {own['mse']:.4e}, max {own['max']:.4e}, {own['codes']} codes; output "
            f"{one.output}, max {own['max_ulp']:.3f} ulp"
        )
        assert one.meta["errors"]["max_ulp"] == pytest.approx(own["max_ulp"])
        assert one.meta["scale_of"] == whole.sha256
        assert "certificate" not in one.meta
        means.append(own["mse"])
    assert rows["average"] == f"MSE {np.mean(means):.4e}"
    assert whole.meta["cost"] == pytest.approx(np.mean(means))
    assert len(listed(tmp_path)) == 2 + len(scales)  # and .logs


def test_two_runs_give_the_same_bytes(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    for folder in ("a", "b"):
        monkeypatch.setenv("NNLUT_CACHE", str(tmp_path / f"{folder}_cache"))
        words = ["--scales", "2,3", "--bits", 6, "--method", "genetic", "--seed", 3]
        fit("--function", "gelu", *words, "--out", f"{folder}/it's (1) 100%.v2.json")
    names = [f"it's (1) 100%.v2.{end}" for end in
             ("frac2.json", "frac3.json", "json", "png", "svg")]  # fmt: skip
    assert listed(tmp_path / "a") == listed(tmp_path / "b") == names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert (tmp_path / "a" / name).stat().st_mode & 0o777 == 0o644


def test_names_and_places_by_default(tmp_path, capsys, no_pictures):
    fit("--function", "exp", "--fold", "auto", "--bits", 4)
    fit("--function", "fits:root", "--domain", "0,2", "--bits", 4)
    fit("--function", "exp", "--bits", 4)
    capsys.readouterr()
    names = ["2_f_int4.json", "exp_int4.json", "root_int4.json"]
    assert listed(tmp_path / "build" / "tables") == names


@pytest.mark.usefixtures("no_pictures")
def test_without_matplotlib(capsys):
    fit("--function", "gelu", "--bits", 4, "--out", "t.json")
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "  no picture: pip install 'nnlut[plot]' for it"


@pytest.mark.usefixtures("no_pictures")
def test_a_network_is_trained_on_the_domain(monkeypatch, capsys):
    seen = []

    def solve(problem, seed, progress):
        seen.append((problem.nn_range, seed))
        return np.array([0]), np.array([0, 1]), np.array([0, 0]), {}

    monkeypatch.setattr(nn, "solve", solve)
    words = ["--method", "nn", "--seed", 7, "--bits", 5]
    fit("--function", "gelu", *words, "--domain=-2,2", "--out", "t.json")
    fit("--function", "gelu", *words, "--out", "u.json")
    assert seen == [((-2, 2), 7), ((-8, 8), 7)]
    assert "optimality" not in capsys.readouterr().out
    assert load("t.json").slopes == (0, 1)


def built(capsys, *words):
    """Build for gates, and return the status, and what was printed."""
    capsys.readouterr()
    status = build("--target", "generic", "--out", "out", *words)
    return status, capsys.readouterr()


@pytest.mark.parametrize(
    ("function", "words", "file"),
    [
        ("gelu", ["--fold", "auto"], "t.json"),
        ("fits:root", ["--domain", "0,3"], "t.json"),
        ("gelu", ["--scales", "1,2"], "t.frac1.json"),
    ],
)
@pytest.mark.usefixtures("no_pictures")
def test_tables_become_hardware(tmp_path, capsys, function, words, file):
    fit("--function", function, "--bits", 4, "--entries", 3, *words, "--out", "t.json")
    domain = ["--domain", "0,3"] if ":" in function else []
    status, out = built(capsys, "--op", function, "--bits", 4, *domain, "--table", file)
    assert (status, out.err) == (0, "")  # the simulation equals the table, or it fails
    table, taken = load(file), load(tmp_path / "out" / "tables" / "table.json")
    assert taken == table
    rows = [int(v, 16) for v in (tmp_path / "out/vectors/input.hex").read_text().split()]
    mask = (1 << 4) - 1
    inputs = [((row & mask) ^ 8) - 8 if table.input.signed else row & mask for row in rows]
    results = [int(v, 16) & mask for v in (tmp_path / "out/vectors/output.hex").read_text().split()]
    assert set(inputs) == set(table.input.codes().tolist())
    assert results == [int(v) & mask for v in table.lookup(np.array(inputs))]


@pytest.mark.usefixtures("no_pictures")
def test_a_table_of_the_reduced_argument_is_no_table_of_the_function(capsys):
    fit("--function", "exp", "--fold", "auto", "--bits", 4, "--out", "t.json")
    status, out = built(capsys, "--op", "exp", "--bits", 4, "--table", "t.json")
    assert status == 2
    assert out.err == "hw.build: error: --table must be of exp, not of 2^f\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--function", "gelu", "--bits", 4, "--input-frac", -10],  # one code
        ["--function", "sigmoid", "--bits", 5, "--fold", "auto"],
        ["--function", "reciprocal", "--bits", 6],
        ["--function", "exp", "--bits", 6, "--fold", "auto"],
    ],
)
def test_pictures_from_files(capsys, words):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    fit(*words, "--out", "t.json")
    capsys.readouterr()
    assert plot.main(["t.json", "--out", "again.svg"]) == 0
    assert capsys.readouterr() == ("again.svg\n", "")
    with open("t.svg", "rb") as first, open("again.svg", "rb") as again:
        assert first.read() == again.read()


def test_a_picture_has_what_it_says():
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    fit("--function", "sigmoid", "--bits", 6, "--fold", "auto", "--out", "t.json")
    table = load("t.json")
    figure = plot.draw(table, FUNCTIONS["sigmoid"])
    above, below = figure.axes
    curve, codes, points = above.lines
    x = table.input.real(table.input.codes())
    np.testing.assert_allclose(codes.get_xdata(), x)
    np.testing.assert_allclose(codes.get_ydata(), table.output.real(table.lookup(x / x[-1] * 31)))
    np.testing.assert_allclose(curve.get_ydata(), table.output.clip(1 / (1 + np.exp(-x))))
    p = np.array(table.breakpoints) * table.input.scale
    assert sorted(points.get_xdata()) == sorted([*p, *-p])
    ends = np.array([segment[1] for segment in below.collections[0].get_segments()])
    ulp = (codes.get_ydata() - curve.get_ydata()) / table.output.scale
    np.testing.assert_allclose(ends, np.stack([x, ulp], axis=1))
    with pytest.raises(UsageError, match=r"^the table's domain must have numbers of its input s6"):
        plot.draw(table, FUNCTIONS["sigmoid"], (1e6, 2e6))


def test_help(capsys):
    with pytest.raises(SystemExit) as end:
        run("fit", "--help")
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "--max-error" in text
    assert "--out" in text


@pytest.mark.usefixtures("no_pictures")
def test_the_request_can_be_asked_again(capsys):
    words = ["--bits", 5, "--entries", 4, "--domain=-2,2", "--limits=-1,2", "--max-error", "1.5ulp",
             "--slope", "s9.6"]  # fmt: skip
    fit("--function", "gelu", *words, "--out", "t.json")
    with open("t.json") as file:
        request = json.load(file)["meta"]["request"]
    assert request == {
        "function": "gelu", "bits": 5, "entries": 4, "domain": [-2, 2], "limits": [-1, 2],
        "max_error": [1.5, True], "slope": "s9.6", "fold": "none",
    }  # fmt: skip
    assert load("t.json").slope == Format(True, 9, 6)


@pytest.mark.usefixtures("no_pictures")
def test_force_replaces(tmp_path):
    for entries in (3, 5):
        fit("--function", "gelu", "--entries", entries, "--out", "t.json", "--force")
        assert load("t.json").meta["entries"] == entries
    shutil.rmtree(tmp_path / ".logs")
    assert listed(tmp_path) == ["t.json"]
