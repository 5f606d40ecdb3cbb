"""What a build of REXP or the 2D LUT says of itself."""

import json

import numpy as np
import pytest
from building import build, small

from hw.manifest import load_build
from nnlut_train import files

pytestmark = pytest.mark.usefixtures("own_folder")

SOFTMAX = ("--op", "softmax", "--length", 8)


def test_rexp(tmp_path, capsys):
    small(*SOFTMAX, "--method", "rexp", "--precision", "uint2", "--entries", 4, "--out", "built")
    printed = capsys.readouterr().out
    for text in (
        "softmax_rexp_uint2: INT8 softmax of rows of up to 8 elements by rexp\n",
        "  output        u2.2 (unsigned, 1 ulp = 1/3)\n",
        "                8 bytes: 4 + 4 values, padding left out\n",
        "                sums above 4 are taken for it: --entries 8 tells all apart\n",
        "                rows of more than 3 equal logits are all 0: the output has too few bits "
        "for them\n",
        "  latency       2 n + 9 clocks for a row of n; ",
    ):
        assert text in printed
    made = load_build(tmp_path / "built")
    ports = {port["name"]: port for port in made.manifest["ports"]}
    assert ports["m_axis_tdata"]["fields"][0]["scale"] == 1 / 3
    assert ports["s_axis_tdata"]["fields"][0]["scale"] == 1 / 16
    assert made.spec().compute(np.array([5, 5, 5])).tolist() == [1, 1, 1]


def test_lut2d(tmp_path, capsys):
    small(*SOFTMAX, "--method", "lut2d", "--entries", 8, "--out", "built")
    printed = capsys.readouterr().out
    assert "                189 bytes: 101 + 88 values, padding left out\n" in printed
    assert "  output        u8.8 (unsigned, 1 ulp = 1/255)\n" in printed
    assert "sums above" not in printed
    assert "equal logits" not in printed
    made = load_build(tmp_path / "built")
    hashes = {name: table.sha256 for name, table in made.spec().tables()}
    assert hashes.keys() == {"exp", "sigma"}
    for name, sha256 in hashes.items():
        table = files.load(tmp_path / "built" / "tables" / f"{name}.json")
        assert table.sha256 == sha256
        assert (
            json.dumps(table.meta["formula"])
            in made.folder.joinpath("tables", f"{name}.json").read_text()
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--precision", "uint8"], "--precision needs --method rexp or lut2d, not nnlut"),
        (["--method", "rexp", "--precision", "uint6"], None),
        (["--method", "rexp", "--output-frac", 7], "--output-frac must not be given with --method "
         "rexp, whose output --precision sets"),
        (["--method", "lut2d", "--output-bits", 6], "--output-bits must not be given with --method "
         "lut2d, whose output --precision sets"),
        (["--method", "lut2d", "--fit", "nn"], "--fit goes with tables of lines, not with softmax "
         "by lut2d"),
        (["--method", "rexp", "--entries", 4097], "--entries must be 1 to 4096, not 4097"),
        (["--method", "rexp", "--tables", "writable"], "--tables writable goes with tables of "
         "lines, not with softmax by rexp"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_it(words, message, capsys):
    assert build(*SOFTMAX, *words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "hw.build: error: " in error
    assert message is None or message in error
