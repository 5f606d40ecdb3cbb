"""What is given hostile input: every file, option and environment variable that a tool reads."""

import gzip
import io
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from mutators import NUMBERS, TEXTS, bytes_of, place, structure, text_of
from running import Call
from seeds import LIBERTY, TABLES, Seeds

from hw import activity, build, cache, celldata, core, liberty, synth
from hw.compare import baseline
from hw.compare import command as compare
from nnlut_train import __main__ as train
from nnlut_train import cli, plot
from nnlut_train.compare import jobs, measurement
from nnlut_train.errors import UsageError
from nnlut_train.evaluate import sts
from nnlut_train.files import load
from sim import run as sim_run
from sim.golden import spec_from_json
from sim.vectors import load_vectors

__all__ = ["TARGETS", "Target", "environment"]

Target = Callable[[Seeds, Random, Path], Call]


def environment(folder: Path) -> dict[str, str]:
    """Return the variables with which no tool gets beyond reading its input: there is no Yosys."""
    return {"YOSYS": str(folder / "none"), "STA": str(folder / "none"), "PATH": str(folder),
            "NNLUT_CACHE": str(folder / "cache"), "HOME": str(folder)}  # fmt: skip


def _call(main: Callable[..., int], *words: object) -> Call:
    progs = {build.main: "hw.build", synth.main: "hw.synth", core.main: "hw.core",
             compare.main: "hw.compare", sim_run.main: "sim.run", train.main: "nnlut_train",
             plot.main: "nnlut_train.plot"}  # fmt: skip
    return Call(progs[main], main, [str(word) for word in words])


def _api(read: Callable[[], object]) -> Call:
    """Return a call of a function, of which `UsageError` and `StepError` are expected."""
    return Call("api", lambda _: cli.run_main("api", lambda _: read() and None, []), [])


def _write(rng: Random, path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    place(rng, path)
    return path


def _json(rng: Random, data: Any) -> bytes:
    if rng.random() < 0.2:
        return bytes_of(rng, json.dumps(data).encode())
    return structure(rng, data)


def table(seeds: Seeds, rng: Random, folder: Path) -> Call:
    """A table: read, looked up at every code; built from; drawn."""
    path = _write(rng, folder / "table.json", _json(rng, seeds.tables[rng.choice(TABLES)]))
    kind = rng.random()
    if kind < 0.02:
        return _call(plot.main, path, "--out", folder / "a.png")
    if kind < 0.3:
        op = rng.choice(["gelu", "tanh", "exp", "silu"])
        return _call(build.main, "--op", op, "--bits", 6, "--table", path, "--out", folder / "out")

    def use() -> None:
        found = load(path)
        codes = found.input.codes()[:4096] if found.input.bits <= 20 else found.input.grid()[:999]
        results = found.lookup(codes)
        if results.min() < found.output.min or results.max() > found.output.max:
            raise AssertionError("a result is out of its format")

    return _api(use)


def certificate(seeds: Seeds, rng: Random, folder: Path) -> Call:
    """A table with a certificate: checked."""
    data = seeds.certified[rng.choice(["mse", "max"])]
    path = _write(rng, folder / "table.json", _json(rng, data))
    return _call(train.main, "check", path)


def plan(seeds: Seeds, rng: Random, folder: Path) -> Call:
    """A plan: its first unit would be built next."""
    path = _write(rng, folder / "plan.json", _json(rng, seeds.plan))
    return _call(build.main, "--plan", path, "--out", folder / "out")


def spec(seeds: Seeds, rng: Random, folder: Path) -> Call:
    """A specification: read, and computed."""
    name = rng.choice([*TABLES, "reciprocal", "softmax", "norm", "shared"])
    text = structure(rng, seeds.units[name][2].describe())

    def use() -> None:
        try:
            found = spec_from_json(json.loads(text.decode("utf-8", "surrogatepass")))
        except RecursionError as error:  # the tools' reader bounds the depth
            raise UsageError("too deep") from error
        except ValueError as error:
            raise UsageError(str(error)) from error
        length = min(found.longest or 8, 64)
        codes = np.resize(found.input.codes()[:64] if found.input.bits < 21 else [0], length)
        if not found.user_bits:
            found.compute(codes)
        found.latency_of(1)

    return _api(use)


def build_folder(seeds: Seeds, rng: Random, folder: Path) -> Call:
    """A build folder: its manifest or another file; synthesised, simulated, or its logic shown."""
    source = rng.choice(seeds.builds)
    at = folder / "build"
    shutil.copytree(source, at)
    files = sorted(path for path in at.rglob("*") if path.is_file())
    manifest = at / f"{source.name}.json"
    path = manifest if rng.random() < 0.6 else rng.choice(files)
    if path.suffix == ".json":
        _write(rng, path, _json(rng, json.loads(path.read_text())))
    else:
        _write(rng, path, bytes_of(rng, path.read_bytes()))
    if rng.random() < 0.05:
        (at / "loop").symlink_to(".")
    if rng.random() < 0.05 and os.path.lexists(manifest):
        os.rename(manifest, at / rng.choice(["a b.json", "'.json", "a\n.json", "$(x).json"]))
    return rng.choice([
        lambda: _call(synth.main, at), lambda: _call(core.main, at),
        lambda: _call(sim_run.main, "--build", at, "--beats", 5),
        lambda: _call(sim_run.main, "--build", at),
        lambda: _call(core.main, at, "--out", folder / "core.v"),
        lambda: _call(build.main, "--op", "gelu", "--out", at),
        lambda: _call(synth.main, at, "--json", folder / "a.json", "--no-cache"),
    ])()  # fmt: skip


def histogram(seeds: Seeds, rng: Random, folder: Path) -> Call:
    """A histogram of activations: nothing is fitted, the error that is asked for is too small."""
    path = _write(rng, folder / "h.npz", _arrays(rng, seeds.histogram))
    return _call(train.main, "fit", "--function", "gelu", "--objective", "weighted", "--weights",
                 path, "--max-error", "0.1ulp", "--out", folder / "out.json")  # fmt: skip


def _arrays(rng: Random, content: bytes) -> bytes:
    """Return a damaged .npy or .npz: bytes, or whole arrays of other kinds."""
    if rng.random() < 0.6:
        return bytes_of(rng, content)
    values: list[Any] = [
        np.array([1, "a", None], dtype=object), np.array([1 + 2j]), np.array("text"), np.array([]),
        np.array([np.nan, 1.0]), np.array([2**63], dtype=np.uint64), np.zeros((2, 2, 2)),
        np.array([np.inf, -np.inf]), np.array([True]), np.array(["a"]), np.array(3),
        np.arange(9.0), np.arange(8), np.zeros((1, 0)), np.array([1e308, 1.7e308]),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]), np.zeros(9, "f2"),
    ]  # fmt: skip
    file = io.BytesIO()
    if rng.random() < 0.3:
        np.save(file, rng.choice(values))
        if rng.random() < 0.3:  # a header that claims more than there is
            return file.getvalue().replace(
                b"(", rng.choice([b"(9999999999999, ", b"(-1, ", b"(" * 90]), 1
            )
        return file.getvalue()
    names = ["edges", "counts", "input", "output", "input_last", "output_last", "input_keep", "x"]
    np.savez(file, **{name: rng.choice(values) for name in rng.sample(names, rng.randrange(6))})
    return file.getvalue()


def vectors(seeds: Seeds, rng: Random, folder: Path) -> Call:
    """Test vectors of a build, and a user's codes for the power of gates."""
    if rng.random() < 0.5:
        path = _write(rng, folder / "vectors.npz", _arrays(rng, seeds.vectors))
        return _api(lambda: load_vectors(path).rows())
    path = _write(rng, folder / "codes.npy", _arrays(rng, seeds.npy))
    _, _, unit = seeds.units[rng.choice(["pwl", "softmax", "norm"])]
    return _api(lambda: activity.user_stimuli(unit, path))


def numbers(seeds: Seeds, rng: Random, folder: Path) -> Call:
    """Files of gamma and beta, as .npy and as text."""
    if rng.random() < 0.5:
        path = _write(rng, folder / "gamma.npy", _arrays(rng, seeds.npy))
    else:
        text = " ".join(rng.choice(["1", "-1.5", "1e999", "nan", "#", "x", "\n", ",", "0x1", "1_0"])
                        for _ in range(rng.choice([0, 3, 4, 4])))  # fmt: skip
        content = text.encode() if rng.random() < 0.7 else bytes_of(rng, text.encode() or b" ")
        path = _write(rng, folder / rng.choice(["g.txt", "g.gz", "g.bz2", "g"]), content)
    return _call(build.main, "--op", "layernorm", "--bits", 8, "--length", 4,
                 rng.choice(["--gamma", "--beta"]), path, "--out", folder / "out")  # fmt: skip


def cells(seeds: Seeds, rng: Random, folder: Path) -> Call:
    """Liberty files, gzipped and not."""
    content = text_of(rng, LIBERTY) if rng.random() < 0.7 else bytes_of(rng, LIBERTY)
    if rng.random() < 0.3:
        content = gzip.compress(content, mtime=0)
        if rng.random() < 0.7:
            content = bytes_of(rng, content)
    path = _write(rng, folder / rng.choice(["a.lib", "a.lib.gz"]), content)
    if rng.random() < 0.4:
        return _call(build.main, "--op", "gelu", "--target", "generic", "--liberty", path, "--out",
                     folder / "out")  # fmt: skip

    def use() -> None:
        library = liberty.read(path)
        celldata.details([library], set(library.cells))
        celldata.has_timing([library])
        celldata.reduced(library, set(library.cells), power=True)
        celldata.time_unit_ps(library)
        celldata.capacitance_unit_ff(library)

    return _api(use)


def results(seeds: Seeds, rng: Random, folder: Path) -> Call:
    """Results of comparisons, and tables of others."""
    kind = rng.randrange(4)
    if kind == 0:
        path = _write(rng, folder / "results.json", _json(rng, seeds.comparison))
        return _call(
            compare.main, "--baseline", path, "--document", folder / "none", "--only", "gelu"
        )
    if kind == 1:
        path = _write(rng, folder / "results.json", _json(rng, seeds.comparison))
        return _api(lambda: baseline.changes(compare.read(path), seeds.comparison))
    if kind == 2:
        lines = {str(scale): {"breakpoint": [0.0], "slope": [1.0, 2.0], "intercept": [0.0, 0.0]}
                 for scale in range(7)}  # fmt: skip
        path = _write(rng, folder / "gelu_pwl_7.json", _json(rng, {"gelu": lines}))
        return _api(lambda: measurement.load_anchors(folder))
    text = b"score\tsentence1\tsentence2\n5.0\ta b\tc\n0.5\td\te f\n"
    path = _write(rng, folder / "pairs.tsv", bytes_of(rng, text))
    return _api(lambda: sts.read(path))


def caches(seeds: Seeds, rng: Random, folder: Path) -> Call:
    """Damaged entries of caches: found to be, and made anew."""
    made = {"a": 1.5, "b": [1, None, "x"]}
    kept = folder / "cache"
    kept.mkdir()
    if rng.random() < 0.5:
        with cache.use(kept):
            cache.cached({"k": 1}, lambda: made)
        (path,) = kept.iterdir()
        entry = json.loads(path.read_text())
        _write(rng, path, _json(rng, entry))

        def use() -> None:
            with cache.use(kept):
                if cache.cached({"k": 1}, lambda: made) != made:
                    raise AssertionError("a damaged entry was used")
    else:
        item = jobs.Fit("gelu", 8, 6, "equal_error")
        data = {"result": {"table": seeds.tables["pwl"]}, "checksum": "0"}
        path = _write(rng, kept / "job.json", _json(rng, data))

        def use() -> None:
            if jobs._kept(path, "key", item) is not None:
                raise AssertionError("a damaged entry was used")

    return _api(use)


_MODULE = """
import numpy as np
calls = 0
def ok(x): return x
def {name}(x):
    {body}
no_function = 3
"""
_BODIES = (
    "raise ValueError('line one\\nline two')", "raise KeyError('a')", "return None",
    "return x[:-1]",
    "return np.full(x.shape, np.nan)", "return x + 1j", "return np.array(['a'] * x.size)",
    "return [object()] * x.size", "return np.full(x.shape, np.inf)", "return 'text'", "return {}",
    "raise MemoryError", "return f(x)", "return x.astype('M8[s]')", "return 1e300 * x",
    "return (y for y in x)", "import warnings; warnings.warn('w'); return x", "x[:] = 0; return x",
    "raise StopIteration", "return np.ma.masked_all(x.shape)", "raise SystemExit(3)",
    "import sys; sys.exit('bye')", "raise GeneratorExit",
)  # fmt: skip
_TOP = ("raise ValueError('no')", "import nothing_like_it", "def (", "raise SystemExit(0)", "\0",
        "1/0", "raise ImportError('x\\ny')", "raise GeneratorExit")  # fmt: skip


def functions(seeds: Seeds, rng: Random, folder: Path) -> Call:
    """A user's function; the module is the user's own code, and is run."""
    name = f"user_{rng.randrange(10**12)}"
    body = rng.choice(_BODIES)
    text = _MODULE.format(name="f", body=body)
    if rng.random() < 0.3:
        text = rng.choice(_TOP) + "\n" + text
    (folder / f"{name}.py").write_text(text)
    call = rng.choice([f"{name}:f", f"{name}:f", f"{name}:f", f"{name}:no_function",
                       f"{name}:missing", "no.such.module:f", f"{name}:", f":{name}", f".{name}:f",
                       f"{name}.f:f", f"{name}:f.g", "numpy:ndarray", "builtins:exit",
                       rng.choice(TEXTS)])  # fmt: skip
    words = [f"--domain={rng.choice(['-1,1', '-1,1', '0,1', '1,0', 'nan,1', '-1e300,1e300'])}"]
    if rng.random() < 0.5:
        words = ["fit", f"--function={call}", "--bits", "4", "--max-error", "0.1ulp", *words]
        tool = train.main
    else:
        words = [f"--op={call}", "--bits", "4", *words]
        tool = build.main

    def main(argv: Sequence[str]) -> int:
        import sys

        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        sys.path.insert(0, str(folder))
        try:
            return tool(argv)
        finally:
            sys.path.remove(str(folder))
            sys.modules.pop(name, None)
            sys.dont_write_bytecode = before

    return Call("nnlut_train" if tool is train.main else "hw.build", main,
                [*words, "--out", str(folder / "out.json")])  # fmt: skip


#: Options of each tool with what ends it before long work.
_TOOLS: tuple[tuple[Callable[..., int], tuple[str, ...], tuple[str, ...]], ...] = (
    (build.main, (), ("--op", "--method", "--bits", "--output-bits", "--precision", "--domain",
                      "--input-frac", "--output-frac", "--length", "--lanes", "--interval",
                      "--mask", "--distance-bits", "--distance-frac", "--eps", "--gamma", "--beta",
                      "--arch", "--max-error", "--logic", "--tables", "--stages", "--fit",
                      "--entries", "--table", "--name", "--fold", "--seed", "--out", "--plan",
                      "--target", "--liberty", "--bram", "--clock-ns", "--max-area", "--unit")),
    (train.main, ("fit", "--max-error", "0.1ulp"),
     ("--function", "--domain", "--bits", "--entries", "--input-frac", "--output-frac", "--slope",
      "--intercept", "--scales", "--fold", "--objective", "--weights", "--mix", "--limits",
      "--exact-zero", "--monotone", "--method", "--seed", "--out")),
    (synth.main, (), ("--target", "--liberty", "--bram", "--clock-ns", "--pnr", "--device",
                      "--seeds", "--json", "--netlist", "--vectors", "--cache", "--simulate")),
    (compare.main, ("--only", "no such unit"), ("--groups", "--target", "--library", "--baseline",
                                                "--document", "--jobs", "--cache", "--out")),
    (sim_run.main, ("--vcd", "/none/none/a.vcd"), ("--op", "--bits", "--domain", "--length",
                                                   "--arch", "--seed", "--build", "--beats",
                                                   "--table", "--max-error", "--stages")),
    (train.main, ("compare", "--only-report", "--out", "/none/none"),
     ("--methods", "--functions", "--entries", "--bits", "--seeds", "--jobs", "--weights")),
)  # fmt: skip


def options(seeds: Seeds, rng: Random, folder: Path) -> Call:
    """Options with hostile values, alone and several."""
    tool, fixed, names = rng.choice(_TOOLS)
    words = list(fixed)
    if tool is synth.main:
        words.append(str(seeds.builds[0]))
    if tool in (build.main, sim_run.main) and rng.random() < 0.8:
        words += ["--op", rng.choice(["gelu", "softmax", "layernorm", "exp", "gelu,exp", "rsqrt"])]
    if fixed[:1] == ("fit",) and rng.random() < 0.8:
        words += ["--function", rng.choice(["gelu", "exp", "tanh", "reciprocal"])]
    for name in rng.sample(names, rng.randrange(1, 4)):
        value = rng.choice([*map(str, NUMBERS), *TEXTS, "2", "4", "8", "16", "-1,1", "0..6",
                            "generic", str(folder)])  # fmt: skip
        if name == "--cache":  # what a run keeps there stays, however it ends
            value = str(seeds.folder / rng.choice(["kept", "kept/a b", "kept\udcff"]))
        elif name in ("--out", "--json", "--netlist"):
            value = str(folder / "out") + rng.choice(["", "/", " '\"", "\n", "\udcff", ".json"])
        words.append(name if rng.random() < 0.1 else f"{name}={value}")
    if "--out" in names and not any(word.startswith("--out") for word in words):
        words += ["--out", str(folder / "out")]
    return _call(tool, *words)


def variables(seeds: Seeds, rng: Random, folder: Path) -> Call:
    """Environment variables."""
    program = folder / "program"
    program.write_text("#!/bin/sh\n" + rng.choice([
        "exit 3", "echo Yosys 9.9", "printf '\\377\\200'", "kill -9 $$", "echo; echo OpenSTA",
        "exec /no/such/program", "echo 2.0.0",
    ]) + "\n")  # fmt: skip
    program.chmod(rng.choice([0o755, 0o755, 0o644]))
    if rng.random() < 0.3:
        program.write_bytes(rng.choice([b"", b"\x7fELF junk", b"no program"]))
    values = ["", "/", "/dev/null", "no such program", str(program), str(program),
              str(folder), "A" * 5000, "a\nb", "\udcff"]  # fmt: skip
    changed = {name: rng.choice(values)
               for name in ("YOSYS", "STA", "NEXTPNR_ICE40", "NEXTPNR_ECP5", "NNLUT_CACHE",
                            "XDG_CACHE_HOME") if rng.random() < 0.6}  # fmt: skip
    changed.setdefault("YOSYS", str(program))  # never the one that works
    if not changed["YOSYS"]:
        changed["YOSYS"] = "/"
    words = [
        str(seeds.builds[0]),
        "--target",
        rng.choice(["generic", "ice40"]),
        "--pnr",
        "--no-cache",
    ]

    def main(argv: Sequence[str]) -> int:
        before: Mapping[str, str | None] = {name: os.environ.get(name) for name in changed}
        os.environ.update(changed)
        try:
            return synth.main(argv)
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})

    return Call("hw.synth", main, words)


#: By what a table of figures calls them, with their shares of the cases.
TARGETS: dict[str, tuple[Target, float]] = {
    "tables (JSON, eight kinds)": (table, 0.22),
    "certificates": (certificate, 0.05),
    "plans (JSON)": (plan, 0.12),
    "specifications": (spec, 0.1),
    "build folders: manifest, tables, vectors, Verilog": (build_folder, 0.12),
    "histograms (.npz)": (histogram, 0.07),
    "vectors (.npy, .npz)": (vectors, 0.07),
    "gamma and beta (.npy, text)": (numbers, 0.05),
    "liberty files (plain, gzip)": (cells, 0.08),
    "results of comparisons, tables of others, pairs of sentences": (results, 0.05),
    "caches": (caches, 0.03),
    "functions of users (package.module:callable)": (functions, 0.02),
    "options": (options, 0.04),
    "environment variables": (variables, 0.01),
}
