"""python -m nnlut_train check: proofs, and what is none."""

import sys

import numpy as np
import pytest
from fits import digest, fit, listed, one_error, run, tamper

from nnlut_train import fitting, plot
from nnlut_train.files import save
from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Drawing takes longer than fitting."""
    monkeypatch.setattr(fitting, "find_spec", lambda name: None)


@pytest.fixture
def table(tmp_path, capsys):
    fit("--function", "gelu", "--bits", 5, "--entries", 4, "--out", "t.json")
    capsys.readouterr()
    return tmp_path / "t.json"


@pytest.mark.parametrize(
    "words",
    [
        ["gelu", "--bits", 5],
        ["gelu", "--bits", 5, "--objective", "max", "--entries", 4],
        ["sigmoid", "--fold", "auto", "--bits", 5],
        ["exp", "--fold", "auto", "--bits", 5],
        ["rsqrt", "--fold", "auto", "--bits", 5],
        ["gelu", "--scales", "1,2", "--bits", 5, "--entries", 5],
        ["hswish", "--bits", 5, "--input-frac", 0, "--output-frac", 0],
        ["gelu", "--bits", 6, "--max-error", "0.8ulp"],
        ["gelu", "--bits", 6, "--max-error", "0.8ulp", "--entries", 5],
        ["gelu", "--bits", 5, "--slope", "s4.2", "--limits=-1,8", "--exact-zero"],
        ["tanh", "--bits", 5, "--domain=-1,2", "--input-frac", 2, "--output-frac", 3],
        ["tanh", "--bits", 4, "--monotone", "--entries", 3],
        ["gelu", "--bits", 4, "--objective", "mixed", "--mix", 2.5, "--entries", 3],
    ],
)
def test_a_fitted_table_is_proved(tmp_path, capsys, words):
    fit("--function", *words, "--out", "t.json")
    capsys.readouterr()
    before = listed(tmp_path)
    assert run("check", "t.json") == 0
    out, err = capsys.readouterr()
    assert err == ""
    first, cost, claimed, proved = out.splitlines()
    assert first.startswith("t.json: ")
    numbers = [float(line.removesuffix(", measured again").split()[-1])
               for line in (cost, claimed, proved)]  # fmt: skip
    assert numbers[0] >= numbers[1] * (1 - 1e-6)
    if first.startswith("t.json: proved: "):
        assert numbers[2] == pytest.approx(numbers[1], rel=1e-5)
    else:  # only of these a weaker bound is known
        assert {"mixed", "--monotone"} & set(words)
    assert listed(tmp_path) == before


def test_a_users_function_must_be_named(capsys):
    fit("--function", "fits:root", "--domain", "0,2", "--bits", 5, "--out", "t.json")
    capsys.readouterr()
    assert run("check", "t.json") == 2
    assert one_error(capsys) == "the table is of fits:root: --function must name it"
    assert run("check", "t.json", "--function", "fits:log1p") == 2
    message = "--function must be that of the table, fits:root, not fits:log1p"
    assert one_error(capsys) == message
    assert run("check", "t.json", "--function", "fits:root") == 0


def test_the_histogram_must_be_the_same(capsys):
    for name, last in (("h.npz", 5), ("other.npz", 6)):
        np.savez(name, edges=[-2.0, 0.0, 2.0], counts=[1, last])
    words = ["--bits", 5, "--entries", 4, "--objective", "weighted", "--weights", "h.npz"]
    fit("--function", "gelu", *words, "--out", "t.json")
    capsys.readouterr()
    assert run("check", "t.json", "--weights", "h.npz") == 0
    capsys.readouterr()
    for words, message in [
        ([], "--weights must be the histogram that the table was fitted to"),
        (["other.npz"], "other.npz: must be the file that the table was fitted to"),
        (["none.npz"], "none.npz: cannot be read: No such file or directory"),
    ]:
        assert run("check", "t.json", *(["--weights", *words] if words else [])) == 2
        assert one_error(capsys) == message
    fit("--function", "gelu", "--bits", 5, "--out", "plain.json")
    capsys.readouterr()
    assert run("check", "plain.json", "--weights", "h.npz") == 2
    message = "--weights goes with a table that was fitted to a histogram"
    assert one_error(capsys) == message


def request(**values):
    return lambda data: data["meta"]["request"].update(values)


def meta(**values):
    return lambda data: data["meta"].update(values)


def better_bound(data):
    data["meta"]["certificate"]["lower_bound"] *= 0.9


def other_integers(data):
    data["intercepts"][0] ^= 1
    names = set(data) - {"sha256", "meta", "checksum", "schema"}
    data["sha256"] = digest({name: data[name] for name in names})


OF_THE_PROBLEM = "certificate: the table must be one of the given problem"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (request(function="silu"), OF_THE_PROBLEM),
        (request(domain=[-2, 2]), OF_THE_PROBLEM),
        (request(bits=6), OF_THE_PROBLEM),
        (request(objective="max"), OF_THE_PROBLEM),
        (request(scales=[1, 2]), OF_THE_PROBLEM),
        (request(limits=[-1, 9]), OF_THE_PROBLEM),
        (request(max_error=[1, True]), OF_THE_PROBLEM),
        (request(bits="x"), "argument --bits: invalid int value: 'x'"),
        (request(max_error=[{}, 1]), "argument --max-error: must be like 0.5ulp or 0.01, not "),
        (request(domain=[1, 2, 3]), "argument --domain: must be LO,HI, not '1,2,3'"),
        (request(help=True), "the table must ask for options of fit, not for 'help'"),
        (request(function=["gelu"]), "the table must say what was asked for, as those of fit do"),
        (meta(request="gelu"), "the table must say what was asked for, as those of fit do"),
        (meta(entries=3), OF_THE_PROBLEM),
        (meta(entries=9), OF_THE_PROBLEM),
        (meta(entries="4"), "the table's entries must be a number, not '4'"),
        (meta(cost=0.0), "certificate: the table's cost must be "),
        (meta(certificate=None), "t.json: must have a certificate, which only "),
        (meta(certificate=[1]), "t.json: must have a certificate, which only "),
        (meta(certificate={}), "certificate: the table must have one"),
        (better_bound, "certificate: "),
        (other_integers, "certificate: the table's cost must be "),
    ],
)  # fmt: skip
def test_a_changed_table_is_told(table, capsys, change, message):
    tamper(table, change)
    assert run("check", "t.json") == 2
    assert one_error(capsys).startswith(message)


@pytest.mark.parametrize("key", ["function", "func", "functio", "function=trap:f"])
def test_a_table_never_makes_code_run(tmp_path, monkeypatch, table, capsys, key):
    (tmp_path / "trap.py").write_text("raise SystemExit('it ran')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    value = True if "=" in key else "trap:f"
    tamper(table, request(**{key: value, "domain": [0, 1]}))
    assert run("check", "t.json") == 2
    one_error(capsys)
    tamper(table, meta(function="trap:f"))
    assert run("check", "t.json") == 2
    one_error(capsys)
    assert plot.main(["t.json", "--out", "p.svg"]) == 2
    assert capsys.readouterr().err.endswith("the table is of trap:f: --function must name it\n")
    assert "trap" not in sys.modules


@pytest.mark.parametrize(
    ("words", "file", "message"),
    [
        (["--method", "linear"], "t.json",
         "t.json: must have a certificate, which only fit --method optimal gives"),
        (["--scales", "1,2"], "t.frac1.json",
         "t.frac1.json: must be the table of all scales, which has the proof, not of one"),
        ([], "none.json", "none.json: cannot be read: No such file or directory"),
        ([], "direct.json", "direct.json: must be a table of lines, not direct"),
        ([], "wrong.json", "wrong.json: must be JSON: "),
    ],
)  # fmt: skip
def test_no_such_table(tmp_path, capsys, words, file, message):
    form = Format(True, 3, 1)
    save(DirectTable(form, form, tuple(range(-4, 4))), tmp_path / "direct.json")
    (tmp_path / "wrong.json").write_text("{")
    fit("--function", "gelu", "--bits", 5, *words, "--out", "t.json")
    capsys.readouterr()
    assert run("check", file) == 2
    assert one_error(capsys).startswith(message)
