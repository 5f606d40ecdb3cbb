"""The standard bench over many faults: which of them it notices."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnlut_train import interrupt
from nnlut_train.errors import StepError
from sim.golden import Spec
from sim.verilator import compiled

from .plant import Mutant, planted

__all__ = ["Outcome", "built", "killed", "outcomes"]

#: A simulation that takes so many seconds hangs, in spite of its limits of clocks.
TIMEOUT = 3600
#: Faults of one run of the program.
STRIDE = 25
#: So few are compiled without optimisation.
FEW = 100


@dataclass(frozen=True)
class Outcome:
    """What the bench said of one fault.

    Parameters
    ----------
    fault : str
        The first difference; empty if it noticed none.
    scene, clock : int
        Where that was: the number of the scene, and the clock in it.
    """

    fault: str
    scene: int = 0
    clock: int = 0


def killed(
    spec: Spec, netlist: str, top: str, mutants: Mapping[int, Mutant], scenes: bytes, *,
    checked: bool = True, told: Callable[[int], object] = lambda number: None,
) -> dict[int, Outcome]:  # fmt: skip
    """Run the bench over faults, each up to the first difference.

    Parameters
    ----------
    spec : Spec
        The unit.
    netlist : str
        From `sim.mutants.plant.prepared`.
    top : str
        Its top module.
    mutants : mapping of int to Mutant
        By their numbers, from 1 on; they are compiled into one program.
    scenes : bytes
        The bench, from `sim.scenes.encoded`.
    checked : bool
        Whether anything is compared; without, nothing is noticed: to test the bench itself.
    told : callable
        Is called with the number of each fault that is done.

    Returns
    -------
    dict of int to Outcome

    Raises
    ------
    StepError
        If the netlist without a fault does not pass, or cannot be compiled.
    """
    with tempfile.TemporaryDirectory(prefix="nnlut-mutants-") as folder:
        program = built(spec, netlist, top, mutants, Path(folder))
        return outcomes(program, list(mutants), scenes, checked=checked, told=told)


def built(spec: Spec, netlist: str, top: str, mutants: Mapping[int, Mutant], folder: Path) -> Path:
    """Compile many faults and the harness into one program; see `killed`."""
    verilog = planted(netlist, top, mutants, "write_verilog -noattr unit.v", "unit.v")
    # The runs of few take less time than compiling: most end after some hundred clocks.
    optimise = "-O0" if len(mutants) <= FEW else "-O1"
    return compiled(spec, verilog, top, folder, mutants=True, optimise=optimise)


def outcomes(
    program: Path, mutants: Sequence[int], scenes: bytes, *, checked: bool = True,
    told: Callable[[int], object] = lambda number: None,
) -> dict[int, Outcome]:  # fmt: skip
    """Run the bench over the faults of a program from `built`; see `killed`."""
    folder = program.parent
    (folder / "scenes.bin").write_bytes(scenes)
    sound = _run(program, folder, 0, 0, checked).get(0)
    if sound is None or sound.fault:
        raise StepError(
            "the Verilog without a fault does not pass the bench: "
            f"{sound.fault if sound else 'the simulation ends'}"
        )
    found: dict[int, Outcome] = {}
    first, last = min(mutants), max(mutants)
    while first <= last:
        # In short runs, so that progress is seen.
        until = min(last, first + STRIDE - 1)
        done = _run(program, folder, first, until, checked)
        if until - first + 1 > len(done):
            # The model itself gave up, as for a combinational loop that does not settle.
            done[max(done, default=first - 1) + 1] = Outcome("the simulation ends")
        found |= done
        for number in done:
            told(number)
        first = max(done) + 1
    return {number: found[number] for number in mutants}


def _run(program: Path, folder: Path, first: int, last: int, checked: bool) -> dict[int, Outcome]:
    words = [str(program), "scenes.bin", "--mutants", str(first), str(last)]
    try:
        done = interrupt.run(
            words + ([] if checked else ["--unchecked"]), cwd=folder, capture_output=True,
            text=True, errors="replace", timeout=TIMEOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise StepError(f"the simulation of a fault takes more than {TIMEOUT} s") from error
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.endswith("}")]
    return {line["mutant"]: Outcome(line["fault"], line["scene"], line["clock"]) for line in lines}
