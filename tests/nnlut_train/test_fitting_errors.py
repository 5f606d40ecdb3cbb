"""What python -m nnlut_train fit refuses: one line, exit status 2, and no trace."""

import errno
from pathlib import Path

import numpy as np
import pytest
from fits import listed, one_error, run

from nnlut_train import fitting, plot
from nnlut_train.fit import optimal

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture
def no_work(monkeypatch):
    """Fail as soon as something is fitted: what is wrong must be told before."""

    def work(*_, **__):
        raise AssertionError("it began to work")

    monkeypatch.setattr(fitting.fit, "fit", work)
    monkeypatch.setattr(optimal, "fewest_entries", work)
    monkeypatch.setattr(optimal, "fewest_bits", work)


GELU = ["--function", "gelu"]
OWN = "--function=fits:"
BAD = [
    ([], "the following arguments are required: --function"),
    (["--function", "gleu"], "a function must be one of exp, "),
    ([OWN + "root"], "fits:root must be given a domain: --domain LO,HI"),
    ([OWN + "number", "--domain", "0,1"], "fits:number must be callable, not int"),
    ([OWN + "none", "--domain", "0,1"], "fits:none cannot be imported: "),
    ([OWN + "one", "--domain", "0,1"], "function fits:one must return a number for every argument"),
    ([OWN + "nan", "--domain", "0,1"], "function fits:nan must return a number for every argument"),
    ([OWN + "root", "--domain=-1,1"], "function fits:root must take a float64 array, but raised"),
    ([OWN + "infinite", "--domain", "0,1"],
     "fits:infinite must have values of at most 2^40 in the domain, not infinity everywhere"),
    ([OWN + "large", "--domain", "0,1"], "fits:large must have values of at most 2^40 in the "),
    ([*GELU, "--bits", 1], "--bits must be 2 to 16, not 1"),
    ([*GELU, "--bits", 17], "--bits must be 2 to 16, not 17"),
    ([*GELU, "--bits", "x"], "argument --bits: invalid int value: 'x'"),
    ([*GELU, "--entries", 0], "--entries must be 1 to 256, not 0"),
    ([*GELU, "--entries", 257], "--entries must be 1 to 256, not 257"),
    ([*GELU, "--bits", 16, "--entries", 4097], "--entries must be 1 to 4096, not 4097"),
    ([*GELU, "--seed", -1], "--seed must be 0 to 4294967295, not -1"),
    ([*GELU, "--input-frac", 25], "--input-frac must be -16 to 24, not 25"),
    ([*GELU, "--output-frac", -17], "--output-frac must be -16 to 24, not -17"),
    ([*GELU, "--method", "best"], "argument --method: invalid choice: 'best'"),
    ([*GELU, "--domain", "2,1"], "a domain must be two finite numbers LO < HI, not (2.0, 1.0)"),
    ([*GELU, "--domain", "nan,1"], "a domain must be two finite numbers LO < HI, not (nan, 1.0)"),
    ([*GELU, "--domain", "1"], "argument --domain: must be LO,HI, not '1'"),
    ([*GELU, "--domain", "0,1e30"], "--domain must reach 2^-40 to 2^40, not 0,1e+30"),
    ([*GELU, "--domain", "0,1e-30"], "--domain must reach 2^-40 to 2^40, not 0,1e-30"),
    ([*GELU, "--domain", "100,200", "--input-frac", 4],
     "the domain 100 to 200 must have a code of the input u8.4, which goes from 0 to 15.9375 in "
     "steps of 0.0625"),
    ([*GELU, "--domain", "0.01,0.02", "--input-frac", 4], "the domain 0.01 to 0.02 must have a "),
    (["--function", "exp", "--domain=-4,0", "--fold", "auto"],
     "--domain goes with --fold none for a function whose range is reduced"),
    ([*GELU, "--slope", "8.6"], "argument --slope: a format must read like s8.4 or u8.8"),
    ([*GELU, "--intercept", "s60.6"], "argument --intercept: a format's width must be 1 to 48"),
    ([*GELU, "--slope", "s4.-2"],
     "table: slope s4.-2 times input s8.4 must have at least as many fraction bits as output s8.4"),
    ([*GELU, "--slope", "s8.3", "--intercept", "s8.8"],
     "--intercept must have at most 7 fraction bits, those of slope s8.3 and of inputs of scale "
     "2^-4, not s8.8"),
    ([*GELU, "--scales", "0..4", "--slope", "s8.3", "--intercept", "s8.4"],
     "--intercept must have at most 3 fraction bits, those of slope s8.3 and of inputs of scale "
     "2^0, not s8.4"),
    ([*GELU, "--scales", "a"], "argument --scales: must be like 0..6 or 2,4,6, not 'a'"),
    ([*GELU, "--scales", "6..0"], "argument --scales: must be different fraction bits of -16 to "),
    ([*GELU, "--scales", "1,1"], "argument --scales: must be different fraction bits of -16 to "),
    ([*GELU, "--scales", "0..25"], "argument --scales: must be different fraction bits of -16 to "),
    ([*GELU, "--scales", "0..24"],
     "--scales must have a finest scale at which the domain takes at most 2^18 codes, not 2^29"),
    ([*GELU, "--scales", "0..3", "--input-frac", 3], "--scales must not be given with --input-fra"),
    ([*GELU, "--scales", "3", "--input-frac", 3], "--scales must not be given with --input-frac"),
    ([*GELU, "--scales", "0..3", "--max-error", "1ulp"],
     "--scales must not be given with --max-error"),
    ([*GELU, "--scales", "0..3", "--monotone"], "--scales must not be given with --monotone"),
    ([*GELU, "--scales", "0..3", "--fold", "auto"],
     "--scales must not be given with --fold auto for gelu"),
    ([*GELU, "--scales", "0..3", "--domain", "3.1,3.4"],
     "format u8.0 must have codes inside the domain"),
    ([*GELU, "--objective", "weighted"], "--objective weighted must have --weights FILE.npz"),
    ([*GELU, "--weights", "h.npz"], "--weights must be given with --objective weighted, and only "),
    ([*GELU, "--weights", "none.npz", "--objective", "weighted"], "none.npz: cannot be read: No "),
    ([*GELU, "--weights", "wrong.npz", "--objective", "weighted"], "wrong.npz: must be .npz "),
    ([*GELU, "--weights", "h.npz", "--objective", "weighted"],
     "h.npz: must have counts where the input has codes"),
    ([*GELU, "--mix", 2], "--mix must go with --objective mixed, not the default"),
    ([*GELU, "--mix", 2, "--objective", "max"], "--mix must go with --objective mixed, not max"),
    ([*GELU, "--mix", -1, "--objective", "mixed"], "--mix must be 0 or more, not -1"),
    ([*GELU, "--mix", "nan", "--objective", "mixed"], "--mix must be 0 or more, not nan"),
    ([*GELU, "--limits=1,0"], "--limits must be finite numbers LO <= HI, not 1,0"),
    ([*GELU, "--limits=nan,0"], "--limits must be finite numbers LO <= HI, not nan,0"),
    (["--function", "reciprocal", "--exact-zero"], "--exact-zero must have 0 among the codes that"),
    (["--function", "softplus", "--exact-zero"],
     "--exact-zero must have an intercept format that holds softplus at 0, 0.693147, not "),
    (["--function", "tanh", "--monotone", "--objective", "max"],
     "--monotone must go with --objective mse, weighted or mixed, not max"),
    (["--function", "tanh", "--monotone", "--max-error", "1ulp"],
     "--monotone and --max-error must have --entries: the fewest are not searched"),
    ([*GELU, "--max-error", "0.4ulp"],
     "--max-error must be 0.5ulp or more, 0.03125 for the output s8.4, not 0.4ulp"),
    ([*GELU, "--max-error", "0.001"],
     "--max-error must be 0.5ulp or more, 0.03125 for the output s8.4, not 0.001"),
    ([*GELU, "--max-error", "0ulp"], "argument --max-error: must be above 0, not '0ulp'"),
    ([*GELU, "--max-error", "nan"], "argument --max-error: must be above 0, not 'nan'"),
    ([*GELU, "--max-error", "ulp"], "argument --max-error: must be like 0.5ulp or 0.01, not 'ulp'"),
    ([*GELU, "--limits=1,1", "--exact-zero"],
     "--limits must contain gelu at 0, 0, with --exact-zero, not be 1,1"),
    ([*GELU, "--method", "nn", "--exact-zero"], "constraints must go with --method optimal, not "),
    ([*GELU, "--method", "genetic", "--max-error", "1ulp"],
     "constraints must go with --method optimal, not genetic"),
    ([*GELU, "--out", "table.txt"], "--out must end in .json, not table.txt"),
    ([*GELU, "--out", "folder.json"], "--out must not name a folder, as folder.json is"),
    ([*GELU, "--out", "file/t.json"], "--out must be where files can be written, not in file"),
    ([*GELU, "--out", "file/sub/t.json"], "--out must be where files can be written, not in file"),
    ([*GELU, "--out", "mine.json"], "mine.svg is there already: --force replaces it"),
    ([*GELU, "--out", "link.json"], "link.json is there already: --force replaces it"),
    ([*GELU, "--scales", "2,3", "--out", "scaled.json"],
     "scaled.frac3.json is there already: --force replaces it"),
    ([*GELU, "--nonsense"], "unrecognized arguments: --nonsense"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), BAD, ids=lambda v: str(v)[:60])
def test_bad_input(request, tmp_path, capsys, words, message):
    if "codes inside the domain" not in message:  # that is told as the fit begins
        request.getfixturevalue("no_work")
    np.savez("h.npz", edges=[100.0, 200.0], counts=[1])
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "link.json").symlink_to("nowhere")
    for name in ("wrong.npz", "file", "mine.svg", "scaled.frac3.json"):
        (tmp_path / name).write_text("mine")
    before = listed(tmp_path)
    assert run("fit", *words) == 2
    assert one_error(capsys).startswith(message)
    assert listed(tmp_path) == before
    assert (tmp_path / "mine.svg").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--entries", 2, "--max-error", "0.5ulp"], "no table of at most 2 entries with these "),
        (["--slope", "s2.0", "--intercept", "s4.0", "--max-error", "0.5ulp"],
         "slope s2.0 and intercept s4.0 cannot meet the constraints with any number of entries: "),
        (["--limits=0,0", "--max-error", "1ulp", "--entries", 3, "--slope", "s8.6"],
         "no table of at most 3 entries with these formats meets the constraints: "),
        (["--monotone"], "gelu must rise or fall on the whole domain to be monotone"),
    ],
)  # fmt: skip
def test_what_cannot_be_met(tmp_path, capsys, words, message):
    before = listed(tmp_path)
    assert run("fit", *GELU, "--out", "new/t.json", *words) == 2
    assert one_error(capsys).startswith(message)
    assert listed(tmp_path) == before


def test_what_appears_during_the_fit_is_left_alone(tmp_path, monkeypatch, capsys):
    fit = fitting.fit.fit

    def meanwhile(*words, **options):
        (tmp_path / "t.png").write_text("mine")
        return fit(*words, **options)

    monkeypatch.setattr(fitting.fit, "fit", meanwhile)
    assert run("fit", *GELU, "--bits", 4, "--out", "t.json") == 2
    assert one_error(capsys) == "t.png is there already: --force replaces it"
    assert (tmp_path / "t.png").read_text() == "mine"
    assert listed(tmp_path) == [".logs", "t.png"]


@pytest.mark.parametrize("fails", [1, 3])
def test_a_failing_write_leaves_all_or_nothing(tmp_path, monkeypatch, capsys, fails):
    calls = []
    original = Path.write_bytes

    def full(path, data):
        calls.append(path)
        if len(calls) == fails:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(path, data)

    words = ["fit", *GELU, "--bits", 4, "--scales", "0..2", "--out", "t.json"]
    monkeypatch.setattr(fitting, "find_spec", lambda name: None)
    assert run(*words, "--entries", 2) == 0
    before = {path: path.read_bytes() for path in tmp_path.glob("t.*")}
    assert len(before) == 4
    capsys.readouterr()
    monkeypatch.setenv("NNLUT_CACHE", "/dev/null")  # which is no folder: nothing is kept
    monkeypatch.setattr(Path, "write_bytes", full)
    assert run(*words, "--entries", 3, "--force") == 2
    message = "--out must be where files can be written, not t.json: No space left on device"
    assert one_error(capsys) == message
    assert {path: path.read_bytes() for path in tmp_path.glob("[!.]*")} == before
    assert listed(tmp_path) == sorted([".logs", *(path.name for path in before)])


def test_a_failing_picture_leaves_no_table(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")

    def fail(*_):
        raise RuntimeError("no fonts")

    monkeypatch.setattr(plot, "render", fail)
    with pytest.raises(RuntimeError, match="no fonts"):
        run("fit", *GELU, "--bits", 4, "--out", "t.json")
    assert listed(tmp_path) == [".logs"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["own.json", "--out", "p.svg"], "the table is of fits:root: --function must name it"),
        (["own.json", "--out", "p.svg", "--function", "os:abort"],
         "--function must be that of the table, fits:root, not os:abort"),
        (["own.json", "--out", "p.gif"], "--out must end in .svg, .png or .pdf, not p.gif"),
        (["own.json", "--out", "no/p.svg", "--function", "fits:root"],
         "--out must be where files can be written, not no/p.svg: No such file or directory"),
        (["none.json", "--out", "p.svg"], "none.json: cannot be read: No such file or directory"),
        (["own.json"], "the following arguments are required: --out"),
    ],
)  # fmt: skip
def test_plot(tmp_path, capsys, words, message):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    own = ["fit", "--function", "fits:root", "--domain", "0,2", "--bits", 4]
    assert run(*own, "--out", "own.json") == 0
    capsys.readouterr()
    before = listed(tmp_path)
    assert plot.main(words) == 2
    assert capsys.readouterr() == ("", f"nnlut_train.plot: error: {message}\n")
    assert listed(tmp_path) == before
