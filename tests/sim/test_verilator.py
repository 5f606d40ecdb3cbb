"""The exported Verilog in Verilator, by the generated C++ program."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from hw.catalogue import KINDS
from hw.design import design
from hw.request import Request
from hw.verilog import to_verilog
from nnlut_train.errors import StepError
from sim.beats import flags
from sim.register_runs import Kind, loading, writes
from sim.run import main
from sim.scenes import RANDOM, encoded, loading_scenes, scene_of, standard_scenes
from sim.stimuli import Stimulus
from sim.stress import random_run
from sim.vectors import vectors_of
from sim.verilator import check_verilator, compiled, simulate

needs_verilator = pytest.mark.skipif(
    shutil.which("verilator") is None or shutil.which("g++") is None,
    reason="needs Verilator (verilator) and g++",
)

SMALL = {
    "lanes": {"op": "softmax", "bits": 4, "length": 6, "lanes": 2, "mask": True, "arch": "direct"},
    "writable": {"op": "gelu", "bits": 5, "entries": 2, "tables": "writable"},
}


def unit(options):
    request = Request(**options)
    spec = design(request, request.wanted[0])
    return spec, to_verilog(spec, "top", "a test")


@pytest.fixture(scope="module")
def lanes():
    return unit(SMALL["lanes"])


@pytest.fixture(scope="module")
def writable():
    return unit(SMALL["writable"])


@needs_verilator
def test_the_standard_bench_and_random_rows_pass(lanes, tmp_path):
    spec, verilog = lanes
    scenes = [*standard_scenes(spec), scene_of(spec, random_run(spec, 500, 1), 1)]
    done = simulate(spec, verilog, "top", scenes, dump=tmp_path / "beats")
    # One is reset in mid-row: those beats are not among the vectors.
    assert done.beats >= sum(len(scene.vectors.output) for scene in scenes)
    assert done.clocks > done.beats
    assert done.seconds > 0
    lines = (tmp_path / "beats").read_text().splitlines()
    assert len(lines) == done.beats
    # In the fields of output.hex; data only where it is kept.
    tail = scenes[-1].vectors
    files = tail.files((8 * spec.lanes, 8 * spec.lanes), spec.user_bits)
    wanted = files["output.hex"].decode().split()
    found = lines[-len(wanted) :]
    assert [len(line) for line in found] == [len(line) for line in wanted]
    kept = [sum(0xFF << 8 * lane for lane in range(spec.lanes) if keep[lane])
            | 0b111 << 8 * spec.lanes for keep in tail.output_keep]  # fmt: skip
    assert [int(line, 16) & mask for line, mask in zip(found, kept, strict=True)] == \
        [int(line, 16) & mask for line, mask in zip(wanted, kept, strict=True)]  # fmt: skip


@needs_verilator
def test_tables_are_loaded_in_traffic_and_every_fault_is_told(writable, tmp_path):
    spec, verilog = writable
    scenes = loading_scenes(spec)
    assert {operation.kind for each in scenes for operation in each.operations} == set(Kind)
    scene = scenes[0]
    later = replace(scene, name="other tables", other=scene.vectors)
    flipped = scene.vectors.output.copy()
    flipped[-1] ^= 1
    wrong = replace(scene, name="wrong result", vectors=replace(scene.vectors, output=flipped),
                    other=None, operations=(), hold=None)  # fmt: skip
    runs = [scenes[2], later, wrong, replace(wrong, vectors=scene.vectors, latency=7)]
    folder = tmp_path / "program"
    folder.mkdir()
    program = compiled(spec, verilog, "top", folder, optimise="-O0")
    said = [said_by(program, spec, [run]) for run in runs]
    assert said[0] == ""
    # Never those that were written.
    assert re.match(r"beat \d+ must be \w+, not \w+$", said[1])
    assert re.match(rf"beat {len(flipped) - 1} must be \w+, not \w+$", said[2])
    assert re.match(r"the latency must be 7, not \d+$", said[3])
    # The flags, a row's end too much, and a beat that never comes.
    assert said_by(program, spec, [replace(runs[2], vectors=scene.vectors, flags=(True, False))]) \
        == "the flags must be 1 at the end, not 0"  # fmt: skip
    more = replace(scene.vectors, output=np.append(flipped, 0),
                   output_last=np.append(scene.vectors.output_last, True))  # fmt: skip
    more.output[-2] ^= 1
    assert said_by(program, spec, [replace(wrong, vectors=more)]).startswith("no progress after ")


def said_by(program, spec, scenes):
    import json
    import subprocess

    path = program.parent / "scenes.bin"
    path.write_bytes(encoded(spec, scenes))
    done = subprocess.run([program, path], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["fault"]


def test_loading_writes_all_words_and_refuses_between_them(writable):
    import random

    spec, _ = writable
    operations = loading(spec, spec, 5, random.Random(0))
    done = [o for o in operations if o.kind is Kind.WRITE and o.response == 0]
    count = len(list(writes(spec)))
    assert {o.address for o in done[:count]} == {address for address, _ in writes(spec)}
    assert {(o.address, o.data) for o in done[count:-2]} == set(writes(spec))
    assert [o.commits for o in done[count:]] == [False] * count + [True, False]
    refused = [o for o in operations if o.response == 2]
    assert {o.kind for o in refused} == {Kind.READ, Kind.WRITE}
    assert len(refused) > count
    # The last one is a word while a commit waits.
    assert all(o.mask != 15 or (o.address, o.data) not in list(writes(spec))
               for o in refused[:-1] if o.kind is Kind.WRITE)  # fmt: skip


def test_flags_are_those_of_the_rows():
    request = Request(**KINDS["softmax, lanes"])
    spec = design(request, "direct")
    rows = [np.zeros(4, np.int64), np.zeros(spec.longest, np.int64)]
    assert flags(spec, rows) == (False, False)
    assert flags(spec, [*rows, np.zeros(spec.longest + 1, np.int64)]) == (True, False)
    keeps = [np.array([True, False, True, True]), np.ones(spec.longest, bool)]
    assert flags(spec, rows, keeps) == (False, True)
    keeps[0] = np.array([True, True, False, False])
    assert flags(spec, rows, keeps) == (False, False)


def test_scenes_say_what_they_are_and_are_the_same_again(lanes):
    spec, _ = lanes
    scenes = standard_scenes(spec)
    names = [scene.name for scene in scenes]
    vectors = ["vectors at full rate", "vectors with random stalls"]
    assert names[-4:] == [*vectors, *(name for name, _, _ in RANDOM)]
    assert "reset in mid-row" in names
    assert [scene.latency for scene in scenes[:3]] == [spec.latency_of(n) for n in (1, 3, 6)]
    assert encoded(spec, scenes) == encoded(spec, standard_scenes(spec))
    one = Stimulus("one", [np.array([3])], users=[np.array([0])])
    assert scene_of(spec, one).vectors.input.tolist() == vectors_of(spec, [one]).input.tolist()


def test_a_missing_verilator_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StepError, match=r"^Verilator \(verilator\) was not found: install it"):
        check_verilator()


@pytest.mark.parametrize("word", ["--beats", "--simulator"])
def test_what_goes_with_a_build_only_is_told(word, capsys):
    value = {"--beats": "5", "--simulator": "verilator"}[word]
    assert main(["--op", "gelu", word, value]) == 2
    assert capsys.readouterr().err == \
        f"sim.run: error: {word} goes with --build, not with --op\n"  # fmt: skip
