"""Learn one table: ``python -m nnlut_train fit``.

Fits piecewise-linear integer tables to a function, prints their errors, and writes the table and a
picture of it. What is written goes into hardware with ``python -m hw.build --table``.
"""

import argparse
import hashlib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from . import fit
from .errors import UsageError
from .fit import optimal
from .fit.problem import Problem, make_problem
from .folding import FOLDS, fold_for
from .formats import Format
from .functions import FUNCTIONS, Function, lookup
from .histograms import Histogram
from .tables import PwlTable, save

__all__ = ["configure", "problem_of", "run"]

ENTRIES = 16


def pair(text: str) -> tuple[float, float]:
    """Read ``LO,HI``."""
    try:
        low, high = map(float, text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be LO,HI, not {text!r}") from error
    return low, high


def _format(text: str) -> Format:
    try:
        return Format.parse(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _scales(text: str) -> tuple[int, ...]:
    """Read ``0..6`` or ``2,4,6``: fraction bits of input scales."""
    try:
        if ".." in text:
            first, last = map(int, text.split(".."))
            scales = tuple(range(first, last + 1))
        else:
            scales = tuple(map(int, text.split(",")))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be like 0..6 or 2,4,6, not {text!r}") from error
    if not scales or len(set(scales)) < len(scales) or not all(-16 <= s <= 24 for s in scales):
        raise argparse.ArgumentTypeError(
            f"must be different fraction bits of -16 to 24, not {text!r}"
        )
    return tuple(sorted(scales))


def _error(text: str) -> tuple[float, bool]:
    """Read ``0.5ulp`` or ``0.01``: an error, and whether it is in ulp."""
    in_ulp = text.endswith("ulp")
    try:
        value = float(text.removesuffix("ulp"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be like 0.5ulp or 0.01, not {text!r}") from error
    if not 0 < value < np.inf:
        raise argparse.ArgumentTypeError(f"must be above 0, not {text!r}")
    return value, in_ulp


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``fit`` to a parser."""
    add_problem(parser)
    group = parser.add_argument_group("how, and where to")
    add = group.add_argument
    add("--method", choices=tuple(fit.METHODS), default="optimal",
        help="how the table is learned. Default: %(default)s")  # fmt: skip
    add("--seed", type=int, default=0, metavar="S",
        help="seed of the methods that draw random numbers. Default: %(default)s")  # fmt: skip
    add("--out", type=Path, metavar="FILE.json",
        help="table to write; the picture goes beside it as .svg and .png, and with --scales "
        "a table for each scale. Default: build/tables/NAME.json")  # fmt: skip
    add("--force", action="store_true", help="replace what is there")


def add_problem(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is fitted."""
    group = parser.add_argument_group("what to fit")
    add = group.add_argument
    add("--function", required=True, metavar="F",
        help=f"{', '.join(FUNCTIONS)}, or your own as package.module:callable")  # fmt: skip
    add("--domain", type=pair, metavar="LO,HI",
        help="only codes in it count, both ends included (write --domain=-4,4); your own function "
        "must have one. Default: the function's own")  # fmt: skip
    add("--bits", type=int, default=8, metavar="B",
        help="width of input and output, 2 to 16. Default: %(default)s")  # fmt: skip
    add("--entries", type=int, metavar="N",
        help=f"segments at most. Default: {ENTRIES}; with --max-error the fewest that meet "
        "it")  # fmt: skip
    add("--input-frac", type=int, metavar="F",
        help="fraction bits of the input: a scale of 2^-F. Default: the finest that covers the "
        "domain")  # fmt: skip
    add("--output-frac", type=int, metavar="F",
        help="fraction bits of the output. Default: the finest in which nothing "
        "saturates")  # fmt: skip
    add("--slope", type=_format, metavar="FORMAT",
        help="format of the slopes, such as s8.6: signed, 8 bits, 6 of them fraction bits. "
        "Default: rounding them costs at most 1/16 ulp; with --entries and --max-error the fewest "
        "bits that meet it")  # fmt: skip
    add("--intercept", type=_format, metavar="FORMAT", help="format of the intercepts, likewise")
    add("--scales", type=_scales, metavar="A..B",
        help="one table for several input scales 2^-A to 2^-B, each of --bits bits, as GQA-LUT has "
        "it")  # fmt: skip
    add("--fold", choices=("auto", "none"), default="none",
        help="auto: use the function's symmetry (tanh, erf, sigmoid, gelu, silu, hswish, "
        "softplus), or fit the function of the reduced argument (exp: 2^f, reciprocal: 1/m, rsqrt: "
        "1/sqrt(m)). Default: %(default)s")  # fmt: skip
    add("--objective", choices=("mse", "max", "weighted", "mixed"),
        help="mean squared error; maximum error; squared error weighted by --weights; squared "
        "error plus --mix times the squared maximum error. Default: mse; max with "
        "--max-error")  # fmt: skip
    add("--weights", type=Path, metavar="FILE.npz",
        help="histogram of activations: arrays edges and counts, as np.histogram returns "
        "them")  # fmt: skip
    add("--mix", type=float, metavar="M", help="for mixed. Default: 1")
    add("--limits", type=pair, metavar="LO,HI",
        help="no line may leave this interval (write --limits=0,1): no overshoot")  # fmt: skip
    add("--exact-zero", action="store_true", help="the line at 0 must have the exact value")
    add("--monotone", action="store_true",
        help="the lines must rise, or fall, as the function does")  # fmt: skip
    add("--max-error", type=_error, metavar="E",
        help="largest error of the rounded output, such as 0.6ulp, or 0.01 as a real "
        "number")  # fmt: skip


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} must be {low} to {high}, not {value}")


def _function(arguments: argparse.Namespace) -> Function:
    function = lookup(arguments.function, arguments.domain)
    if arguments.fold == "auto" and function.reduction not in FOLDS:
        if arguments.domain is not None and function.reduced is not function:
            raise UsageError("--domain goes with --fold none for a function whose range is reduced")
        return function.reduced
    return function


def _input(arguments: argparse.Namespace, function: Function) -> tuple[Format, tuple[Format, ...]]:
    """Return the format of the input, and those that share the lines."""
    bits, scales = arguments.bits, arguments.scales
    if scales is None or len(scales) == 1:
        frac = scales[0] if scales else arguments.input_frac
        return function.input_format(bits, frac), ()
    if arguments.input_frac is not None:
        raise UsageError("--input-frac must not be given with --scales, which has them")
    # The grid of the breakpoints: the finest scale, wide enough for the whole domain.
    signed, frac = function.domain[0] < 0, scales[-1]
    first, last = int(function.domain[0] * 2.0**frac), int(function.domain[1] * 2.0**frac)
    width = max(bits, signed + max(last.bit_length(), (-first - 1).bit_length()))
    return Format(signed, width, frac), tuple(Format(signed, bits, s) for s in scales)


def problem_of(arguments: argparse.Namespace) -> tuple[Problem, Function]:
    """Return the problem that parsed options of `add_problem` ask for, and its function.

    Raises
    ------
    UsageError
        If an option is out of range, or does not go with another.
    """
    _within("--bits", arguments.bits, 2, 16)
    for name, frac in (("--input-frac", arguments.input_frac),
                       ("--output-frac", arguments.output_frac)):  # fmt: skip
        if frac is not None:
            _within(name, frac, -16, 24)
    objective = arguments.objective or ("max" if arguments.max_error else "mse")
    if (objective == "weighted") != (arguments.weights is not None):
        raise UsageError("--weights and --objective weighted must be given together")
    if arguments.mix is not None and (objective != "mixed" or not 0 <= arguments.mix < np.inf):
        raise UsageError("--mix must be 0 or more, and goes with --objective mixed")
    function = _function(arguments)
    inputs, shared = _input(arguments, function)
    if arguments.entries is not None:
        _within("--entries", arguments.entries, 1, min(4096, 1 << inputs.bits))
    output = function.whole_output_format(arguments.bits, inputs, arguments.output_frac)
    x = inputs.real(inputs.codes())
    inside = (x >= function.domain[0]) & (x <= function.domain[1])
    weights = None if inside.all() else inside.astype(float)
    if arguments.weights is not None:
        density = Histogram.load(arguments.weights).weights(x)
        weights = density if weights is None else weights * density
        if not weights.any():
            raise UsageError(f"{arguments.weights}: must have counts where the input has codes")
    fold = None
    if arguments.fold == "auto" and function.reduction in FOLDS:
        fold = fold_for(function, function.reduction, inputs, output)
    error = None
    if arguments.max_error is not None:
        value, in_ulp = arguments.max_error
        error = value if in_ulp else value / output.scale
    target = function(x)
    return make_problem(
        function.name, target, inputs, output, arguments.entries or ENTRIES, function, fold=fold,
        weights=weights, slope=arguments.slope, intercept=arguments.intercept, shared=shared,
        objective="mse" if objective == "weighted" else objective,
        mix=(1.0 if arguments.mix is None else arguments.mix) if objective == "mixed" else 0.0,
        limits=arguments.limits, exact=(0,) if arguments.exact_zero else (),
        monotone=arguments.monotone, max_ulp=error,
        nn_range=function.nn_range, nn_signs=function.nn_signs,
    ), function  # fmt: skip


def _smallest(arguments: argparse.Namespace, problem: Problem) -> Problem:
    """Return the problem with the fewest entries, or coefficient bits, that meet --max-error."""
    if problem.max_ulp is None or arguments.method != "optimal":
        return problem
    if arguments.entries is None:
        return replace(problem, entries=optimal.fewest_entries(problem, progress=True))
    if arguments.slope is None and arguments.intercept is None:
        slope, intercept = optimal.fewest_bits(problem, progress=True)
        return replace(problem, slope=slope, intercept=intercept)
    return problem


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what was asked for, JSON-ready: enough to ask for it again.

    A histogram is named by the SHA-256 of its file.
    """
    names = ("function", "domain", "bits", "entries", "input_frac", "output_frac", "slope",
             "intercept", "scales", "fold", "objective", "mix", "limits", "exact_zero", "monotone",
             "max_error")  # fmt: skip
    options = {name: getattr(arguments, name) for name in names}
    options |= {n: v and str(v) for n, v in options.items() if n in ("slope", "intercept")}
    if arguments.weights is not None:
        options["weights"] = hashlib.sha256(arguments.weights.read_bytes()).hexdigest()
    return {name: value for name, value in options.items() if value not in (None, False)}


def _report(problem: Problem, table: PwlTable) -> list[str]:
    meta, errors = table.meta, table.meta["errors"]
    rows = [
        ("formats", f"input {table.input}, output {table.output}, slope {table.slope}, "
                    f"intercept {table.intercept}"),
    ]  # fmt: skip
    if table.fold is not None:
        rows.append(("folded", f"{table.fold.kind}, magnitude {table.fold.magnitude}"))
    rows.append(("entries", f"{table.entries} of {problem.entries}, {table.storage_bits} bits"))
    if problem.shared:
        each = [(form, replace(problem, shared=(form,)).errors(table)) for form in problem.shared]
        for form, (error, points) in each:
            rows.append((f"scale 2^-{form.frac}", f"MSE {points.weight @ error**2:.4e}, "
                         f"max {np.abs(error).max():.4e}, {error.size} codes"))  # fmt: skip
        rows.append(("average", f"MSE {np.mean([p.weight @ e**2 for _, (e, p) in each]):.4e}"))
    else:
        weighted = ", weighted" if "weights" in meta["request"] else ""
        low, high = meta["domain"]
        rows += [
            ("lines", f"MSE {errors['line_mse']:.4e}{weighted}, max {errors['line_max']:.4e}, "
                      f"{problem.used.sum():,} codes from {low:g} to {high:g}"),
            ("output", f"max {errors['max_ulp']:.3f} ulp, RMS {errors['rms_ulp']:.3f} ulp"),
        ]  # fmt: skip
    if (certificate := meta.get("certificate")) is not None:
        gap = certificate["gap"]
        rows.append(("optimality", "proved: no such table is better" if not gap else
                     f"at most {100 * gap:.2g} % above the optimum: the least is "
                     f"{certificate['lower_bound']:.4e}"))  # fmt: skip
    return [f"  {name:<11} {text}" for name, text in rows]


def _pictures(table: PwlTable, function: Function, domain: tuple[float, float], base: Path) -> list:
    if find_spec("matplotlib") is None:
        return []
    from . import plot

    figure = plot.draw(table, function, domain)
    paths = [base.with_suffix(suffix) for suffix in (".svg", ".png")]
    for path in paths:
        plot.write(figure, path)
    return paths


def run(arguments: argparse.Namespace) -> None:
    """Fit, print and write.

    Raises
    ------
    UsageError
        If an option is wrong, or a file is there already.
    """
    _within("--seed", arguments.seed, 0, 2**32 - 1)
    problem, function = problem_of(arguments)
    name = function.name.rpartition(":")[2]
    name = "".join(c if c.isalnum() or c in "_-" else "_" for c in name)
    out = arguments.out or Path("build/tables") / f"{name}_int{arguments.bits}.json"
    if out.suffix != ".json":
        raise UsageError(f"--out must end in .json, not {out}")
    files = [out, out.with_suffix(".svg"), out.with_suffix(".png")]
    files += [out.with_suffix(f".frac{form.frac}.json") for form in problem.shared]
    if not arguments.force and (there := [file for file in files if file.exists()]):
        raise UsageError(f"{there[0]} is there already: --force replaces it")
    problem = _smallest(arguments, problem)
    table = fit.fit(problem, arguments.method, seed=arguments.seed, progress=True)
    table = replace(table, meta={**table.meta, "request": options_of(arguments)})
    scaled = [table.at(form) for form in problem.shared]  # before anything is written
    print(f"{function.name}, {function.formula}: {arguments.method}, {problem.objective}")
    print("\n".join(_report(problem, table)))
    save(table, out)
    written = [out]
    for form, one in zip(problem.shared, scaled, strict=True):
        written.append(out.with_suffix(f".frac{form.frac}.json"))
        save(one, written[-1])
    written += _pictures(table, function, tuple(table.meta["domain"]), out)
    for path in written:
        print(f"  {'written' if path is out else '':<11} {path}")
    if len(written) == 1 + len(scaled):
        print("  no picture: pip install 'nnlut[plot]' for it")
