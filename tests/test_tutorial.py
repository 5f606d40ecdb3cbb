"""The tutorial runs from top to bottom, and prints what it shows."""

import contextlib
import io
import re
import shlex
import shutil
import sys
import tomllib
import warnings
from pathlib import Path

import pytest

import nnlut_train.__main__
import sim.run
from hw import build
from nnlut_train.options import problem_of

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"

#: Numbers with a point may differ so much, and by this share: of trained weights, they do.
ABSOLUTE, SHARE = 0.05, 0.1
#: A format such as s12.9; a number with a point; text between them.
TOKENS = re.compile(r"\b[su]\d+\.-?\d+|-?\d+\.\d+|\d+|[^\d\s]+")


def parts():
    """Return the fenced blocks of the page in their order: language, text, and line number."""
    text = PAGE.read_text(encoding="utf-8")
    for block in re.finditer(r"^```(\w+)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
        yield block[1], block[2], text.count("\n", 0, block.start()) + 2


def alike(shown, printed):
    """Return whether a printed line is what the page shows."""
    one, other = TOKENS.findall(shown), TOKENS.findall(printed)
    if len(one) != len(other):
        return False
    for wanted, found in zip(one, other, strict=True):
        if wanted == found:
            continue
        if re.fullmatch(r"[su]\d+\.-?\d+", wanted) and re.fullmatch(r"[su]\d+\.-?\d+", found):
            (width, frac), (its_width, its_frac) = wanted.split("."), found.split(".")
            if width != its_width or abs(int(frac) - int(its_frac)) > 1:
                return False
        elif re.fullmatch(r"-?\d+\.\d+", wanted) and re.fullmatch(r"-?\d+\.\d+", found):
            if abs(float(wanted) - float(found)) > ABSOLUTE + SHARE * abs(float(wanted)):
                return False
        else:
            return False
    return True


def check(shown, printed, line):
    """Fail unless `printed` is what the page shows, where ``...`` stands for any lines."""
    lines, anything = iter(printed.splitlines()), False
    for number, wanted in enumerate(shown.splitlines(), line):
        if wanted == "...":
            anything = True
            continue
        tried = []
        for found in lines:
            tried.append(found)
            if alike(wanted, found) or not anything:
                break
        where = f"{PAGE.name}:{number}"
        assert tried, f"{where}: nothing more was printed"
        assert alike(wanted, tried[-1]), f"{where}: shows {wanted!r}, but {tried} was printed"
        anything = False


def words_of(line, module):
    prefix = f".venv/bin/python -m {module} "
    return shlex.split(line.removeprefix(prefix)) if line.startswith(prefix) else None


def command(line):
    """Run a build or simulation, parse another command; return whether it is this project's."""
    if (words := words_of(line, "hw.build")) is not None:
        assert build.main(words) == 0
    elif (words := words_of(line, "sim.run")) is not None:
        assert sim.run.parser().parse_args(words).build.is_dir()
        if shutil.which("iverilog"):
            assert sim.run.main(words) == 0
    elif (words := words_of(line, "nnlut_train")) is not None:
        arguments = nnlut_train.__main__.parser().parse_args(words)
        problem_of(arguments)
    else:
        return False
    return True


def test_the_tutorial_runs_and_prints_what_it_shows(own_folder, monkeypatch):
    pytest.importorskip("torch", reason="the tutorial needs torch: pip install 'nnlut[train]'")
    for package in ("sklearn", "transformers", "scipy"):
        pytest.importorskip(package, reason="the tutorial needs it: pip install 'nnlut[eval]'")
    import torch

    threads = torch.get_num_threads()
    names = {"__name__": "tutorial"}
    monkeypatch.setitem(sys.modules, "tutorial", type(sys)("tutorial"))
    printed, counts = "", {"python": 0, "text": 0, "sh": 0}

    def show(message, category, *_, **__):
        print(f"{category.__name__}: {message}")

    try:
        for language, text, line in parts():
            counts[language] += 1
            if language == "text":
                check(text, printed, line)
                continue
            with contextlib.redirect_stdout(io.StringIO()) as out, warnings.catch_warnings():
                warnings.simplefilter("default")
                warnings.showwarning = show
                if language == "python":
                    code = compile("\n" * (line - 1) + text, str(PAGE), "exec")
                    exec(code, names)  # the page is this project's own
                else:
                    for each in text.splitlines():
                        command(each)
            printed = out.getvalue()
    finally:
        torch.set_num_threads(threads)
    assert counts["python"] >= 12
    assert counts["text"] >= 12


def test_every_line_of_a_shell_is_a_command_of_this_project_or_installs_it():
    lines = [
        line for language, text, _ in parts() if language == "sh" for line in text.splitlines()
    ]
    rest = [line for line in lines if not line.startswith(".venv/bin/python -m ")]
    assert len(lines) - len(rest) >= 3
    assert [line.split()[0] for line in rest] == ["python3", ".venv/bin/pip"]
    extras = re.search(r"\.\[([\w,]+)\]", rest[-1])[1].split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {*extras} <= {*project["optional-dependencies"]}


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("exact 0.958", "exact 0.931", True),
        ("exact 0.958", "exact 0.751", False),
        ("9 replaced, 0 left", "9 replaced, 1 left", False),
        ("gelu: s12.9", "gelu: s12.8", True),
        ("gelu: s12.9", "gelu: s8.9", False),
        ("a  b", "a b", True),
        ("True", "False", False),
        ("0.5 and more", "0.5", False),
    ],
)
def test_what_counts_as_the_same(shown, printed, same):
    assert alike(shown, printed) == same


def test_lines_that_are_missing_or_out_of_order_are_found():
    check("a\n...\nd 0.50", "a\nb\nc\nd 0.52\n", 1)
    for shown in ("b\na", "a\nb\nc", "a\n...\nc"):
        with pytest.raises(AssertionError, match=r"tutorial\.md:"):
            check(shown, "a\nb\n", 1)
