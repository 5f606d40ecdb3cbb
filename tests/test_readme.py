"""What README and docs show is what the commands print."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nnlut_train.__main__
from hw import build, options, synth
from hw.manifest import check_folder, load_build
from nnlut_train.options import problem_of
from sim.run import parser

ROOT = Path(__file__).parents[1]


def blocks(path):
    """Return the fenced text blocks and the tables of a page."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return text, re.findall(r"```text\n(.*?)```", text, flags=re.DOTALL)


def test_the_summary_in_the_readme_is_what_the_main_job_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert build.main(["--op", "softmax", "--bits", "8"]) == 0
    printed = capsys.readouterr().out
    (summary,) = blocks("README.md")[1]
    # All but the time that it took.
    assert summary.splitlines()[:-1] == printed.splitlines()[:-1]
    assert re.fullmatch(r"  done in \d+\.\d s", summary.splitlines()[-1])
    # What was built can be read, costed, simulated and built again.
    built = load_build(tmp_path / "build" / "softmax_int8")
    assert built.spec().compute(np.array([[0, 16, 32], [5, 5, 5]])).shape == (2, 3)
    assert check_folder(built.folder) == built.manifest["command"]
    assert synth.main([str(built.folder), "--target", "ecp5"]) == 0


def rows(text):
    """Return the rows of all Markdown tables in `text`, without the rules under their heads."""
    return [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]


def test_the_softmax_figures_in_the_docs_are_what_the_benchmark_prints():
    done = subprocess.run(
        [sys.executable, "bench/softmax.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    page = rows((ROOT / "docs/softmax.md").read_text(encoding="utf-8"))
    assert len(rows(done.stdout)) >= 10
    assert set(rows(done.stdout)) <= set(page)


def test_the_norm_figures_in_the_docs_are_what_the_benchmark_prints():
    # Of its three tables the one that takes seconds.
    code = "import sys; sys.path.insert(0, 'bench'); import layernorm; layernorm.protocol()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    page = rows((ROOT / "docs/layernorm.md").read_text(encoding="utf-8"))
    assert len(rows(done.stdout)) == 9
    assert set(rows(done.stdout)) <= set(page)


def test_the_figures_of_ibert_in_the_docs_are_what_the_benchmark_prints():
    done = subprocess.run(
        [sys.executable, "bench/softmax_methods.py", "--ibert"], cwd=ROOT, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    page = rows((ROOT / "docs/softmax_methods.md").read_text(encoding="utf-8"))
    assert len(rows(done.stdout)) == 15
    assert set(rows(done.stdout)) <= set(page)


def test_the_optimal_figures_are_what_the_benchmark_prints():
    done = subprocess.run(
        [sys.executable, "bench/optimal.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    # All but the seconds.
    printed = [line.split()[:-1] for line in done.stdout.splitlines()[1:-1]]
    assert len(printed) == 6
    for page in ("README.md", "docs/tables.md"):
        table = [row.replace("|", " ").split() for row in rows((ROOT / page).read_text())]
        for line in printed:
            assert line in table, f"{page} must show {line}"


def test_the_folding_figures_are_what_the_benchmark_prints():
    done = subprocess.run(
        [sys.executable, "bench/folding.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    page = rows((ROOT / "docs/tables.md").read_text(encoding="utf-8"))
    assert len(rows(done.stdout)) == 25
    assert set(rows(done.stdout)) <= set(page)


def test_the_page_of_methods_is_made_from_its_results(tmp_path):
    pytest.importorskip("matplotlib", reason="the comparison draws figures")
    shutil.copytree(ROOT / "docs/fitting", tmp_path / "fitting")
    shutil.copy(ROOT / "docs/fitting.md", tmp_path)
    words = ["compare", "--only-report", "--out", str(tmp_path / "fitting")]
    assert nnlut_train.__main__.main(words) == 0
    assert (tmp_path / "fitting.md").read_bytes() == (ROOT / "docs/fitting.md").read_bytes()


def test_every_command_that_learns_tables_is_understood():
    commands = []
    for page in ("README.md", "docs/tables.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        commands += re.findall(r"^\.venv/bin/python -m nnlut_train (\w+) ?(.*)$", text, flags=re.M)
    assert {name for name, _ in commands} == {"fit", "check", "compare", "evaluate"}
    parser = nnlut_train.__main__.parser()
    for name, words in commands:
        arguments = parser.parse_args([name, *shlex.split(words, comments=True)])
        if name == "fit" and not arguments.weights and ":" not in arguments.function:
            problem_of(arguments)


def test_every_relative_link_leads_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = page.read_text(encoding="utf-8")
        links = re.findall(r"\]\(([^)#:]+)\)", text)
        for link in links:
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_command_in_the_readme_is_understood():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\.venv/bin/python -m (hw\.build|sim\.run) (.*)$", text, flags=re.M)
    assert len(commands) >= 8
    for module, words in commands:
        arguments = words.split("#")[0].split()
        if {"--help", "--list"} & {*arguments} or "mypackage.activations:snake" in arguments:
            continue
        command = options.build_parser() if module == "hw.build" else parser()
        parsed = command.parse_args(arguments)
        if parsed.op is not None:
            options.request(parsed)
