"""Simulation of the exported Verilog: Icarus Verilog through cocotb, against the test vectors."""

import contextlib
import importlib.util
import shutil
import tempfile
import warnings
from pathlib import Path

from hw.manifest import Build
from nnlut_train.errors import StepError

__all__ = ["simulate_verilog"]


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

    modules = ["sim.cocotb_axis"]
    if "registers" in build.manifest:
        modules.append("sim.cocotb_lite")
    work = Path(tempfile.mkdtemp(prefix="nnlut-icarus-"))
    log = work / "simulation.log"
    try:
        # The runner ends the program where it finds a fault; what it found is in the results.
        with warnings.catch_warnings(), contextlib.suppress(SystemExit):
            warnings.simplefilter("ignore")
            runner = get_runner("icarus")
            runner.build(
                sources=[build.verilog.absolute()], hdl_toplevel=build.name, build_dir=work,
                timescale=("1ns", "1ps"), log_file=work / "compile.log",
            )  # fmt: skip
            runner.test(
                hdl_toplevel=build.name, test_module=modules, build_dir=work,
                test_dir=work, log_file=log, seed=seed, results_xml=str(work / "results.xml"),
                extra_env={"NNLUT_BUILD": str(build.folder.absolute())},
            )  # fmt: skip
        tests, failed = get_results(work / "results.xml")
    except (RuntimeError, OSError) as error:
        raise StepError(f"Icarus Verilog failed: {error} (logs: {work})") from error
    if failed or tests <= len(modules):
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        cause = next((line.strip() for line in lines if "Error" in line), "no test ran")
        raise StepError(f"the Verilog differs from its vectors: {cause} (log: {log})")
    shutil.rmtree(work)
    return 2 * build.manifest["vectors"]["beats"]
