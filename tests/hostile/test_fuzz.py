"""A sample of bench/fuzz.py, and properties of the readers; every fault found there stays here."""

import contextlib
import io
import json
import os
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutators import PLANTED, resigned
from running import Call, judge
from seeds import LIBERTY, TABLES, Seeds
from targets import TARGETS, environment

from hw import liberty
from hw.compare.command import read as read_baseline
from hw.manifest import check_folder, load_build
from hw.plan import Plan
from nnlut_train import cli, reading
from nnlut_train.errors import UsageError
from nnlut_train.files import from_json, load
from nnlut_train.functions import lookup
from nnlut_train.histograms import Histogram
from sim.verilog import simulate_verilog

#: Cases of each kind of input.
CASES = 30


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    made = Seeds(tmp_path_factory.mktemp("seeds"))
    _ = made.builds, made.certified, made.plan  # before there is no Yosys
    return made


@pytest.fixture
def no_tools(tmp_path, monkeypatch):
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.usefixtures("no_tools")
def test_hostile_input_is_told_in_a_line(name, seeds, tmp_path):
    prepare, _ = TARGETS[name]
    statuses = set()
    for number in range(CASES):
        outcome = judge(lambda rng, at: prepare(seeds, rng, at), f"{name} {number}", tmp_path / "c")
        assert not outcome.wrong, f"case {number}: {outcome.wrong}"
        statuses.add(outcome.status)
    assert statuses & {1, 2} or name == "caches"


@pytest.mark.parametrize(
    ("main", "wrong"),
    [
        (lambda at: cli.run_main("tool", lambda _: {}["a"], []), "KeyError"),
        (lambda at: 3, "exit status 3"),
        (lambda at: print("tool: error: a\nb", file=__import__("sys").stderr) or 2, "single line"),
        (lambda at: 2, "no single line"),
        (lambda at: cli.run_main("tool", lambda _: at.touch() or int("x"), []), "ValueError"),
        (lambda at: cli.run_main("tool", lambda _: at.touch() or load("no file"), []), "left"),
        (lambda at: cli.run_main("tool", lambda _: [0] * 10**15, []), "memory"),
        (lambda at: cli.run_main("tool", lambda _: import_planted(at), []), "code was run"),
        (lambda at: 0, ""),
        (lambda at: cli.run_main("tool", lambda _: load("no file"), []), ""),
    ],
)
def test_the_judge_sees_every_fault(main, wrong, tmp_path):
    call = Call("tool", lambda _: main(tmp_path / "case" / "left"), [])
    found = judge(lambda rng, at: call, 0, tmp_path / "case").wrong
    assert wrong in found
    assert bool(found) == bool(wrong)


def import_planted(at):
    import sys
    import types

    sys.modules[PLANTED] = types.ModuleType(PLANTED)


@pytest.mark.usefixtures("no_tools")
def test_a_careless_reader_is_caught(seeds, tmp_path, monkeypatch):
    """The mutators reach what a reader takes for granted: each of these guards is needed."""

    def careless(data):
        if data["kind"] != "pwl":
            raise UsageError("another kind")
        return [p + 1 for p in data["breakpoints"]][data["schema"]], data["meta"]["function"]

    found = set()
    for number in range(60):
        rng = random.Random(number)
        path = tmp_path / "table.json"
        from mutators import structure

        path.write_bytes(structure(rng, seeds.tables["pwl"]))

        def main(argv, path=path):
            return cli.run_main("tool", lambda _: careless(json.loads(path.read_bytes())), argv)

        outcome = judge(lambda rng, at, main=main: Call("tool", main, []), number, tmp_path / "c")
        if outcome.wrong:
            found.add(outcome.wrong.strip().splitlines()[-1].split(":")[0])
    assert {"KeyError", "TypeError", "IndexError"} <= found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(JSON)
def test_json_is_read_as_it_was_written_or_refused(data):
    text = json.dumps(data)
    try:
        assert reading.parse_json(text) == data
    except ValueError:

        def bad(v):
            if isinstance(v, float):
                return not np.isfinite(v)
            if isinstance(v, int):
                return not -(2**63) <= v < 2**64
            if isinstance(v, str):
                return any("\ud800" <= c <= "\udfff" for c in v)
            if isinstance(v, list):
                return any(map(bad, v))
            return isinstance(v, dict) and any(map(bad, [*v, *v.values()]))

        assert bad(data)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_table_of_any_values_is_a_table_or_is_told(data):
    kind = data.draw(st.sampled_from(TABLES))
    table = _tables()[kind]
    name = data.draw(st.sampled_from(sorted(table)))
    changed = resigned({**table, name: data.draw(JSON)})
    with contextlib.suppress(UsageError):
        from_json(changed)


_made = {}


def _tables():
    if not _made:
        _made.update(Seeds(None).tables)
    return _made


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04"]))
def test_any_bytes_are_arrays_or_are_told(tmp_path_factory, content, head):
    path = tmp_path_factory.getbasetemp() / "any.npy"
    path.write_bytes(head + content)
    with contextlib.suppress(OSError, ValueError):
        reading.read_arrays(path)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["i8", ">i2", "f4", "?", "U3"])
def test_arrays_are_those_that_numpy_wrote(tmp_path, order, dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    found = reading.read_arrays(tmp_path / "a.npy")
    assert found.dtype == array.dtype
    assert (found == array).all()
    np.savez_compressed(tmp_path / "a.npz", x=array, y=np.array(3))
    found = reading.read_arrays(tmp_path / "a.npz")
    assert list(found) == ["x", "y"]
    assert (found["x"] == array).all()
    assert found["y"] == 3


class Pickled:
    def __reduce__(self):
        return (__import__, (PLANTED,))


def test_pickles_are_refused(tmp_path):
    for name, save in (
        ("a.npy", np.save),
        ("a.npz", lambda at, v: np.savez(at, edges=v, counts=v)),
    ):
        save(tmp_path / name, np.array([Pickled()], dtype=object))
        with pytest.raises(ValueError, match="could run code"):
            reading.read_arrays(tmp_path / name)
    with pytest.raises(UsageError, match="could run code"):
        Histogram.load(tmp_path / "a.npz")


def test_what_claims_to_be_huge_takes_no_memory(tmp_path):
    file = io.BytesIO()
    np.save(file, np.arange(4))
    path = tmp_path / "a.npy"
    path.write_bytes(file.getvalue().replace(b"(4,), ", b"(10**9,),")[:90])
    with pytest.raises(ValueError, match=r"no \.npy file"):
        reading.read_arrays(path)
    path.write_bytes(file.getvalue().replace(b"(4,), }          ", b"(4000000000000,)}"))
    with pytest.raises(ValueError, match="cut short: 32 bytes of 4,000,000,000,000"):
        reading.read_arrays(path)
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(1 << 20))
    with pytest.raises(ValueError, match="unpack to at most"):
        reading.read_arrays(tmp_path / "bomb.npz", 1 << 20)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda at: os.symlink(at.name, at),
                                  lambda at: os.symlink("/dev/zero", at),
                                  lambda at: at.touch() or os.truncate(at, 1 << 40)],
                         ids=["pipe", "folder", "loop", "device", "sparse"])  # fmt: skip
def test_what_is_no_file_is_not_waited_for(make, tmp_path):
    path = tmp_path / "a.json"
    make(path)
    for read in (load, Plan.load, liberty.read, read_baseline, Histogram.load):
        with pytest.raises(UsageError, match=r"a\.json"):
            read(path)


def test_no_pattern_of_liberty_takes_quadratic_time(tmp_path):
    for text in (
        b"/*" * 200_000, b"\n" * 400_000, b"library (" + b" " * 400_000, b"library(\n" * 40_000,
        b"cell(" * 80_000, b"area : " + b"9" * 400_000,
    ):  # fmt: skip
        path = tmp_path / "a.lib"
        path.write_bytes(text)
        with pytest.raises(UsageError, match="must be a liberty cell library"):
            liberty.read(path)


@pytest.mark.parametrize("area", ["1.2.3", "e", "-1", "1e999", "."])
def test_an_area_that_is_none_is_told(area, tmp_path):
    path = tmp_path / "a.lib"
    path.write_bytes(LIBERTY.replace(b"area : 1.5", f"area : {area}".encode()))
    with pytest.raises(UsageError, match="must be a liberty cell library"):
        liberty.read(path)


@pytest.mark.parametrize("name", ["../secret.json", "/etc/passwd", "tables/../../secret.json", 3])
def test_a_manifest_names_no_file_outside_its_folder(name, seeds, tmp_path):
    import shutil

    shutil.copytree(seeds.builds[0], tmp_path / "b")
    path = next((tmp_path / "b").glob("*.json"))
    data = json.loads(path.read_text())
    (tmp_path / "secret.json").write_bytes(
        (tmp_path / "b" / data["spec"]["table"]["file"]).read_bytes()
    )
    data["spec"]["table"]["file"] = name
    path.write_text(json.dumps(resigned(data)))
    with pytest.raises(UsageError, match="a table's file must be a name inside it"):
        load_build(tmp_path / "b").spec()


def test_a_changed_driver_is_not_run(seeds, tmp_path):
    import shutil

    shutil.copytree(seeds.builds[1], tmp_path / "b")
    driver = tmp_path / "b" / "norm_driver.py"
    driver.write_text(f"import {PLANTED}\n" + driver.read_text())
    path = tmp_path / "b" / "norm.json"
    path.write_text(json.dumps(resigned(json.loads(path.read_text()))))
    if shutil.which("iverilog") is None:
        pytest.skip("iverilog is missing")
    with pytest.raises(UsageError, match=r"norm_driver\.py must be as hw\.build wrote it"):
        simulate_verilog(load_build(tmp_path / "b"))


def test_names_of_functions_in_data_import_nothing(seeds, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{PLANTED}.py").write_text("raise SystemExit('it was run')")
    table = seeds.tables["pwl"]
    table = resigned({**table, "meta": {**table["meta"], "function": f"{PLANTED}:run"}})
    path = tmp_path / "t.json"
    path.write_text(json.dumps(table))
    from nnlut_train.__main__ import main as train
    from nnlut_train.plot import main as plot

    assert plot([str(path), "--out", str(tmp_path / "a.svg")]) == 2
    assert train(["check", str(path)]) == 2
    plan = json.loads(json.dumps(seeds.plan))
    plan["units"]["pwl"]["request"]["op"] = f"{PLANTED}:run"
    with pytest.raises(UsageError, match="op must be one of"):
        Plan.from_json(resigned(plan))
    with pytest.raises(UsageError, match="it was run"):  # the user's own word is another matter
        lookup(f"{PLANTED}:run", (-1, 1))


def test_a_file_that_has_become_huge_is_no_unchanged_build(seeds, tmp_path):
    import shutil

    shutil.copytree(seeds.builds[0], tmp_path / "b")
    os.truncate(tmp_path / "b" / "pwl.v", 1 << 40)
    with pytest.raises(UsageError, match="was changed since it was built"):
        check_folder(tmp_path / "b")
    with pytest.raises(UsageError, match="must have at most"):
        load_build(tmp_path / "b").text()


def test_the_message_is_one_line_that_cannot_steer_the_terminal(capsys):
    def main(argv):
        raise UsageError("a\n\x1b[2Jb" + "9" * 10**6)

    assert cli.run_main("tool", main) == 2
    said = capsys.readouterr().err
    assert said.startswith("tool: error: a \\x1b[2Jb999")
    assert len(said) < 2100
