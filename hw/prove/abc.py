"""Satisfiability by ABC, inside Yosys: one pip package is compiler and solver."""

from collections.abc import Mapping, Sequence

from .. import yosys
from .graph import FALSE, TRUE, Graph
from .results import UndecidedError

__all__ = ["ENGINE", "run", "satisfied"]

#: What decides, in words of a `Proof`.
ENGINE = "ABC &cec in Yosys"

# Yosys runs ABC on a design, and wants it back; it is none that matters.
_YOSYS = """\
design -reset
read_verilog stand_in.v
techmap
abc -script abc.script
"""
_STAND_IN = "module stand_in(input a, input b, output y); assign y = a & b; endmodule\n"
_ABC = """\
read_aiger miter.aig
&get
&cec -m -C 1000000000 -T {timeout}
write_status status
"""


def run(
    script: str, files: Mapping[str, bytes | str], outputs: Sequence[str], *, step: str,
    timeout: float, before: str = "",
) -> dict[str, bytes]:  # fmt: skip
    """Run ABC inside Yosys, in a fresh folder.

    Parameters
    ----------
    script : str
        ABC's commands, a line each.
    files, outputs, step, timeout
        Those of `hw.yosys.run`, which has what is returned and raised, too.
    before : str
        Yosys commands that come first.
    """
    script = f"write_blif saved.blif\n{script}read_blif saved.blif\n"
    files = {**files, "stand_in.v": _STAND_IN, "abc.script": script}
    return yosys.run(before + _YOSYS, files, outputs, step=step, timeout=timeout)


def satisfied(
    graph: Graph, literal: int, *, step: str, timeout: int = 120
) -> dict[str, int] | None:
    """Find out whether a literal can be true.

    Parameters
    ----------
    graph : Graph
        The graph of `literal`.
    literal : int
        What is asked for.
    step : str
        What it is for; error messages begin with it.
    timeout : int
        Seconds after which it gives up.

    Returns
    -------
    dict or None
        Free variables by name, of those that matter, for which it is true; None: there are none.

    Raises
    ------
    UndecidedError
        ABC did not decide.
    StepError
        Yosys failed.
    """
    if literal in (FALSE, TRUE):
        return None if literal == FALSE else {}
    aiger, inputs = graph.aiger(literal)
    script = _ABC.format(timeout=timeout)
    # ABC looks at its clock only between calls of its solver.
    try:
        written = run(script, {"miter.aig": aiger}, ["status"], step=step, timeout=timeout + 10)
    except yosys.YosysTimeoutError as error:
        raise UndecidedError(f"{step}: undecided after {timeout} seconds") from error
    verdict, *rest = written["status"].decode().split()
    if verdict == "snl_UNSAT":
        return None
    if verdict != "snl_SAT":
        raise UndecidedError(f"{step}: undecided after {timeout} seconds")
    return {graph.name(variable): int(value)
            for variable, value in zip(inputs, rest[-1], strict=True)}  # fmt: skip
