"""The options that say what to build: the same for `hw.build` and `sim.run`."""

import argparse
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nnlut_train import fit
from nnlut_train.cli import ArgumentParser
from nnlut_train.files import load
from nnlut_train.logic import TARGETS as LOGIC
from nnlut_train.reading import read_arrays, read_text
from sim.golden import LANES

from .choices import (
    ARCHS,
    EPS,
    FLOAT_BITS,
    FOLD_CHOICES,
    LENGTH_MAX,
    METHODS,
    OPS,
    PRECISIONS,
    TABLES_CHOICES,
)
from .request import Request
from .synth import BRAM_POLICIES, TARGETS

__all__ = ["add_request", "build_parser", "given", "request"]


def _domain(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be LO,HI, not {text!r}") from error
    return low, high


def _numbers(text: str) -> tuple[float, ...]:
    """Read a file of real numbers: .npy, or text with white space between."""
    path = Path(text)
    try:
        if path.suffix == ".npy":
            values = read_arrays(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of an empty file: what it should have comes later
                values = np.loadtxt(io.StringIO(read_text(path)))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise argparse.ArgumentTypeError(f"{text} must be a file of numbers: {why}") from error
    if not isinstance(values, np.ndarray):
        raise argparse.ArgumentTypeError(f"{text} must be a file of numbers, not of several arrays")
    if values.ndim > 1 or values.dtype.kind not in "iuf":
        raise argparse.ArgumentTypeError(
            f"{text} must have real numbers in one dimension, not {values.dtype} in {values.ndim}"
        )
    return tuple(np.atleast_1d(values).astype(np.float64).tolist())


def add_request(parser: argparse.ArgumentParser) -> None:
    """Add the options of a `Request` to `parser`; ``--op`` is not required, see `given`."""
    group = parser.add_argument_group("what to build")
    add = group.add_argument
    add(
        "--op",
        metavar="OP",
        help=f"{', '.join(OPS)}, or your own function as package.module:callable; several unary "
        "functions with commas between are one unit, which tuser selects from",
    )
    add(
        "--method",
        default="nnlut",
        choices=tuple(dict.fromkeys(method for each in METHODS.values() for method in each)),
        help="nnlut: learned tables. softmax: also rexp, lut2d (Vasyltsov & Chang), base2 (shifts, "
        "online maximum: no second read of a row), kulisch (no maximum, exact sum: the smallest), "
        "ibert; gelu, exp, sqrt, layernorm: also ibert "
        "(I-BERT's integer polynomials). Default: %(default)s",
    )
    add(
        "--bits",
        type=int,
        metavar="B",
        help="width of the input: 4 to 16, and 32 for plain lines; softmax 4 to 12; layernorm, "
        "rmsnorm 8 to 16. Default: 8; layernorm, rmsnorm 16",
    )
    add(
        "--output-bits",
        type=int,
        metavar="B",
        help="width of the output. Default: that of the input; layernorm, rmsnorm 8",
    )
    add(
        "--precision",
        choices=PRECISIONS,
        help="rexp, lut2d: of the tables and the output (uint8 by default). One unary function: "
        f"{', '.join(FLOAT_BITS)}, lines in IEEE-754 floating point",
    )
    add(
        "--domain",
        type=_domain,
        metavar="LO,HI",
        help="where the function is used: required for your own, the source of the default formats "
        "for all (write --domain=-4,4)",
    )
    add(
        "--input-frac",
        type=int,
        metavar="F",
        help="fraction bits of the input. Default: the finest that covers the function's domain; "
        "softmax: B - 4, so that logits reach from -8 to 8; layernorm, rmsnorm: B / 2",
    )
    add(
        "--output-frac",
        type=int,
        metavar="F",
        help="fraction bits of the output. Default: the finest that holds the results; layernorm, "
        "rmsnorm: output bits - 3, so that results reach from -4 to 4",
    )
    add(
        "--length",
        type=int,
        metavar="N",
        help=f"softmax, layernorm, rmsnorm: elements of the longest row, 1 to {LENGTH_MAX}, a "
        "multiple of the lanes. Default: 128",
    )
    add(
        "--lanes",
        type=int,
        default=1,
        choices=LANES,
        metavar="L",
        help=f"elements a beat: {', '.join(map(str, LANES))}. Default: %(default)s",
    )
    add(
        "--interval",
        type=int,
        default=1,
        metavar="K",
        help="unary functions: clocks a beat (initiation interval), a divisor of the lanes; so "
        "many lanes share multipliers and tables. Default: %(default)s",
    )
    add(
        "--mask",
        action="store_true",
        help="softmax: a mask bit an element (tuser); a masked element leaves its row alone, "
        "and gives 0",
    )
    add(
        "--distance-bits",
        type=int,
        metavar="D",
        help="softmax by nnlut: width of the distance from the row's maximum that the exp table "
        "sees, 4 to B; it is rounded and saturated. Default: all of it",
    )
    add(
        "--distance-frac",
        type=int,
        metavar="F",
        help="with --distance-bits: fraction bits of the distance, at most the input's. Default: "
        "D - 4, so that it reaches 16; finer if no distance does; at most the input's",
    )
    add("--eps", type=float, metavar="E",
        help="layernorm, rmsnorm: what is added to the variance. Default: "
        + ", ".join(f"{eps:g} for {op}" for op, eps in EPS.items()))  # fmt: skip
    for name, what in (("gamma", "gain"), ("beta", "offset")):
        add(
            f"--{name}",
            type=_numbers,
            metavar="FILE",
            help=f"layernorm, rmsnorm: the {what} of each of the N positions, real numbers in a "
            ".npy file, or in text",
        )
    add(
        "--arch",
        choices=ARCHS,
        default="auto",
        help="how the tables are built: pwl (lines: comparator tree, multiply-add), direct (all "
        "values); of one unary function also delta (differences to a cheap base), multipartite "
        "(tables that are added), indexed (lines by the leading bits), shiftadd (the same without "
        "a multiplier), minimised (the smallest logic; slow, only if asked for); or auto, the "
        "smallest that is accurate enough. Default: %(default)s",
    )
    add(
        "--max-error",
        type=float,
        metavar="ULP",
        help="largest error that --arch auto may take, in ulp of the output; 0.5 is correct "
        "rounding. Default: below 1. --arch minimised is correctly rounded unless this is given",
    )
    add(
        "--logic",
        choices=tuple(LOGIC),
        default="gates",
        help="what --arch minimised is minimised for. Default: %(default)s",
    )
    add(
        "--tables",
        choices=TABLES_CHOICES,
        default="rom",
        help="writable: lines, gamma and beta can be written at run time, through an AXI4-Lite "
        "port; implies --arch pwl. Default: %(default)s",
    )
    add(
        "--stages",
        type=int,
        metavar="N",
        help="unary functions: pipeline stages, which are the latency in clocks, from 1 to as many "
        "as the architecture has steps; --arch auto leaves out those that cannot. Default: 3 for "
        "pwl, 1 for the others, and what range reduction adds",
    )
    add(
        "--fit",
        choices=tuple(fit.METHODS),
        help="how lines are learned: optimal (the provable optimum) or nn (NN-LUT's network; "
        "needs torch). Default: optimal",
    )
    add(
        "--entries",
        type=int,
        metavar="N",
        help="segments of each table of lines. Default: 16, and twice as many for every 2 bits "
        "beyond 8. rexp, lut2d: sums that the tables tell apart. Default: 16, 60",
    )
    add(
        "--fold",
        choices=FOLD_CHOICES,
        default="auto",
        help="auto: reduce the range of exp and exp2 (to 2^f), reciprocal, rsqrt, sqrt and log (to "
        "a mantissa), sin and cos (to a quarter wave) before the table, and fold symmetric "
        "functions (sigmoid, tanh, gelu, ...) to a table of abs(x); none: tables over the whole "
        "range, as the papers have them, which implies --arch pwl where a range could be reduced. "
        "Default: %(default)s",
    )
    add(
        "--table",
        type=Path,
        metavar="FILE",
        help="build this table of a unary function instead of fitting one",
    )
    add(
        "--name",
        dest="module",
        metavar="NAME",
        help="name of the Verilog module and of the folder in build/. Default: OP_intB, and what "
        "else was asked for, such as softmax_rexp_int8_x4",
    )
    add("--seed", type=int, default=0, metavar="S",
        help="seed of the fit and of the simulation. Default: %(default)s")  # fmt: skip


def request(arguments: argparse.Namespace) -> Request:
    """Return the request that parsed `arguments` make.

    Raises
    ------
    UsageError
        If an option is out of range, or does not go with another.
    """
    options = {name: getattr(arguments, name) for name in Request.__dataclass_fields__}
    if arguments.table is not None:
        options["table"] = load(arguments.table)
    return Request(**options)


def given(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the options of a `Request` that are not their defaults, as a user writes them."""
    default = ArgumentParser()
    add_request(default)
    for name in Request.__dataclass_fields__:
        if getattr(arguments, name) != default.get_default(name):
            yield "--name" if name == "module" else f"--{name.replace('_', '-')}"


class _List(argparse.Action):
    """Prints the catalogue and ends the program, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print the catalogue."""
        from .catalogue import lines

        for line in lines():
            print(line, flush=True)
        parser.exit()


def build_parser() -> ArgumentParser:
    """Return the parser of ``python -m hw.build``."""
    parser = ArgumentParser(
        prog="python -m hw.build",
        description="Fit, build, simulate and synthesise a unit; write its Verilog, manifest, "
        "tables and test vectors.",
    )
    parser.add_argument(
        "--list",
        action=_List,
        nargs=0,
        help="print the catalogue of ops, methods, latencies and errors, and exit",
    )
    add_request(parser)
    group = parser.add_argument_group("or what a plan has")
    group.add_argument(
        "--plan",
        type=Path,
        metavar="FILE",
        help="build the units of a plan, from the specifications that it has: nothing is fitted",
    )
    group.add_argument(
        "--unit",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="with --plan: only the units of these names. Default: all",
    )
    group = parser.add_argument_group("what to report, and where to")
    add = group.add_argument
    add(
        "--target",
        nargs="+",
        action="extend",
        choices=TARGETS,
        metavar="T",
        help=f"for what to report the cost: {', '.join(TARGETS)}. Default: all",
    )
    add(
        "--liberty",
        nargs="+",
        action="extend",
        type=Path,
        default=[],
        metavar="FILE",
        help="cell libraries (.lib, .lib.gz) for the target generic: area in um2 instead of gate "
        "equivalents",
    )
    add(
        "--bram",
        choices=BRAM_POLICIES,
        default="auto",
        help="whether tables and buffers may go to block RAM on FPGAs. Default: %(default)s",
    )
    add(
        "--clock-ns",
        type=float,
        metavar="NS",
        help="find the fewest pipeline stages with which the unit meets this clock period on the "
        "first target: ecp5 or ice40 after place and route, or gates of --liberty files. "
        "Default: no search",
    )
    add(
        "--max-area",
        type=float,
        metavar="A",
        help="largest area (LUTs on FPGAs) on the first target that --arch auto may take. "
        "Default: any",
    )
    add("--out", type=Path, metavar="DIR",
        help="folder to write. Default: build/NAME; with --plan build/FILE without its suffix, a "
        "folder in it for each unit")  # fmt: skip
    return parser
