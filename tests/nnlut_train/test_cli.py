"""How the commands end."""

import os
import subprocess
import sys

import pytest

from nnlut_train import cli
from nnlut_train.errors import StepError, UsageError


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UsageError("x must be 1, not 2"), 2, "prog: error: x must be 1, not 2\n"),
        (StepError("synthesis failed:\n  cell X"), 1, "prog: error: synthesis failed: cell X\n"),
        (KeyboardInterrupt(), 130, "prog: error: interrupted\n"),
    ],
)
def test_an_error_is_one_line_and_a_status(capsys, error, status, line):
    def main(argv):
        raise error

    assert cli.run_main("prog", main, []) == status
    assert capsys.readouterr() == ("", line)


def test_a_fault_of_the_program_is_not_hidden():
    def main(argv):
        raise AssertionError("defect")

    with pytest.raises(AssertionError, match="defect"):
        cli.run_main("prog", main, [])


def test_success_is_silent(capsys):
    assert cli.run_main("prog", lambda argv: print(argv), ["a"]) == 0
    assert capsys.readouterr() == ("['a']\n", "")


def test_a_reader_that_went_away_gives_no_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    script = (
        "import sys; from nnlut_train import cli; sys.exit(cli.run_main('p', lambda a: print('x')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
