"""Simulation of the exported Verilog: Icarus Verilog through cocotb, against the test vectors.

The bench is the one that every build has in its folder ``cocotb``, written anew.
"""

import contextlib
import importlib.util
import shutil
import tempfile
import warnings
from pathlib import Path

from hw.axi import data_bytes
from hw.manifest import Build
from nnlut_train import scratch
from nnlut_train.errors import StepError, UsageError
from nnlut_train.reading import read_bytes
from sim.golden import Spec, WritableSpec
from sim.golden.register_files import files_of
from sim.golden.register_map import register_map

from .cocotb_files import cocotb_files, run_modules
from .vectors import Vectors, load_vectors

__all__ = ["simulate_verilog", "write_bench"]


def simulate_verilog(build: Build, *, seed: int = 0) -> int:
    """Simulate a build's Verilog against its vectors, at full rate and with random stalls.

    Of a writable unit, its driver loads other tables in traffic, too.

    Parameters
    ----------
    build : Build
        What `hw.build` wrote.
    seed : int
        Seed of the stalls.

    Returns
    -------
    int
        Number of results compared, all equal.

    Raises
    ------
    StepError
        If a result differs, or Icarus Verilog or cocotb is missing.
    """
    if shutil.which("iverilog") is None:
        raise StepError(
            "Icarus Verilog (iverilog) was not found: install it (Debian, Ubuntu: "
            "apt-get install iverilog)"
        )
    if importlib.util.find_spec("cocotb") is None or importlib.util.find_spec("cocotbext") is None:
        raise StepError("cocotb was not found: pip install 'nnlut[dev]'")
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    _check_driver(build)
    spec = build.spec()
    vectors = load_vectors(build.folder / "vectors" / "vectors.npz")
    # Where it fails, its logs outlive the command.
    work = Path(tempfile.mkdtemp(prefix="nnlut-icarus-", dir=scratch.keep()))
    log = work / "simulation.log"
    try:
        write_bench(spec, vectors, build.name, work, seed)
        # The runner ends the program where it finds a fault; what it found is in the results.
        with warnings.catch_warnings(), contextlib.suppress(SystemExit):
            warnings.simplefilter("ignore")
            runner = get_runner("icarus")
            runner.build(
                sources=[build.verilog.absolute()], hdl_toplevel=build.name,
                build_dir=work / "icarus", timescale=("1ns", "1ps"),
                log_file=work / "compile.log",
            )  # fmt: skip
            runner.test(
                hdl_toplevel=build.name, test_module=run_modules(spec),
                build_dir=work / "icarus", test_dir=work / "cocotb", log_file=log, seed=seed,
                results_xml=str(work / "results.xml"),
            )  # fmt: skip
        tests, failed = get_results(work / "results.xml")
    except (RuntimeError, OSError) as error:
        raise StepError(f"Icarus Verilog failed: {error} (logs: {work})") from error
    except BaseException:  # interrupted: there is nothing to look up
        shutil.rmtree(work, ignore_errors=True)
        raise
    if failed or tests <= len(run_modules(spec)):
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        cause = next((line.strip() for line in lines if "Error" in line), "no test ran")
        raise StepError(f"the Verilog differs from its vectors: {cause} (log: {log})")
    shutil.rmtree(work)
    return 2 * build.manifest["vectors"]["beats"]


def write_bench(spec: Spec, vectors: Vectors, name: str, folder: Path, seed: int = 0) -> None:
    """Write the cocotb bench and what it reads, as they lie in a build.

    Parameters
    ----------
    spec : Spec
        The unit.
    vectors : Vectors
        What the bench sends, and what must leave.
    name : str
        Of the Verilog module; its file is to lie in `folder`.
    folder : Path
        Where; it exists.
    seed : int
        See `cocotb_files`.
    """
    widths = tuple(8 * spec.lanes * data_bytes(form) for form in (spec.input, spec.output))
    files = {f"cocotb/{file}": data for file, data in cocotb_files(spec, name, seed)}
    files |= {f"vectors/{file}": data
              for file, data in vectors.files(widths, spec.user_bits).items()}  # fmt: skip
    if isinstance(spec, WritableSpec):
        files |= files_of(register_map(spec), name)
    for file, data in files.items():
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes(data)


def _check_driver(build: Build) -> None:
    """Raise UsageError unless the driver of a build, which is run, is the one of its registers."""
    spec = build.spec()
    if not isinstance(spec, WritableSpec):
        return
    name = f"{build.name}_driver.py"
    try:
        found = read_bytes(build.folder / name)
    except OSError as error:
        raise UsageError(f"{build.folder / name}: cannot be read: {error.strerror}") from error
    if found != files_of(register_map(spec), build.name)[name]:
        raise UsageError(f"{build.folder / name} must be as hw.build wrote it: it is run")
