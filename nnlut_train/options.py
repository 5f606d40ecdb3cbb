"""What ``fit`` and ``check`` are asked for: the options of the command line, and their problem."""

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .errors import UsageError
from .fit.making import make_problem
from .fit.problem import Problem
from .folding import fold_for
from .formats import Format
from .functions import FUNCTIONS, Function, lookup
from .histograms import Histogram
from .reading import read_bytes

__all__ = ["NAMES", "add_problem", "options_of", "problem_of", "within"]

ENTRIES = 16
#: What a domain, or a function in it, may reach at most; a domain's inverse likewise.
REACH = 2.0**40
#: Widest grid of the breakpoints that several scales share.
GRID_BITS = 18
#: What says what was asked for, but for the weights.
NAMES = ("function", "domain", "bits", "entries", "input_frac", "output_frac", "slope", "intercept",
         "scales", "fold", "objective", "mix", "limits", "exact_zero", "monotone",
         "max_error")  # fmt: skip


def _pair(text: str) -> tuple[float, float]:
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


def add_problem(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is fitted."""
    group = parser.add_argument_group("what to fit")
    add = group.add_argument
    add("--function", required=True, metavar="F",
        help=f"{', '.join(FUNCTIONS)}, or your own as package.module:callable")  # fmt: skip
    add("--domain", type=_pair, metavar="LO,HI",
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
        "Default: rounding them costs at most 1/16 ulp; with --entries and --max-error few "
        "bits that meet it")  # fmt: skip
    add("--intercept", type=_format, metavar="FORMAT", help="format of the intercepts, likewise")
    add("--scales", type=_scales, metavar="A..B",
        help="one table for several input scales 2^-A to 2^-B, each of --bits bits, as GQA-LUT has "
        "it")  # fmt: skip
    add("--fold", choices=("auto", "none"), default="none",
        help="auto: use the function's symmetry (tanh, erf, sigmoid, hsigmoid, gelu, silu, hswish, "
        "softplus, sin, cos), or fit the function of the reduced argument (exp, exp2: 2^f, "
        "reciprocal: 1/m, rsqrt: 1/sqrt(m), sqrt: sqrt(m), log: ln(m)). "
        "Default: %(default)s")  # fmt: skip
    add("--objective", choices=("mse", "max", "weighted", "mixed"),
        help="mean squared error; maximum error; squared error weighted by --weights; squared "
        "error plus --mix times the squared maximum error. Default: mse; max with "
        "--max-error")  # fmt: skip
    add("--weights", type=Path, metavar="FILE.npz",
        help="histogram of activations: arrays edges and counts, as np.histogram returns "
        "them")  # fmt: skip
    add("--mix", type=float, metavar="M", help="for mixed. Default: 1")
    add("--limits", type=_pair, metavar="LO,HI",
        help="no line may leave this interval at a code that counts (write --limits=0,1): no "
        "overshoot")  # fmt: skip
    add("--exact-zero", action="store_true", help="the line at 0 must have the exact value")
    add("--monotone", action="store_true",
        help="the lines must rise, or fall, as the function does")  # fmt: skip
    add("--max-error", type=_error, metavar="E",
        help="largest error of the rounded output, such as 0.6ulp, or 0.01 as a real "
        "number")  # fmt: skip


def within(name: str, value: int, low: int, high: int) -> None:
    """Raise `UsageError` unless an option's value is in its range."""
    if not low <= value <= high:
        raise UsageError(f"{name} must be {low} to {high}, not {value}")


def _objective(arguments: argparse.Namespace) -> str:
    """Return the objective, by default the one that goes with the constraints."""
    given, weighted = arguments.objective, arguments.weights is not None
    if (given == "weighted") != weighted:
        raise UsageError(
            "--weights must be given with --objective weighted, and only with it, not with "
            f"{given or 'the default'}" if weighted else
            "--objective weighted must have --weights FILE.npz"
        )  # fmt: skip
    if arguments.mix is not None and given != "mixed":
        raise UsageError(f"--mix must go with --objective mixed, not {given or 'the default'}")
    if arguments.mix is not None and not 0 <= arguments.mix < np.inf:
        raise UsageError(f"--mix must be 0 or more, not {arguments.mix:g}")
    if arguments.monotone and given == "max":
        raise UsageError("--monotone must go with --objective mse, weighted or mixed, not max")
    if given is None:
        return "mse" if arguments.max_error is None or arguments.monotone else "max"
    return given


def _check(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` for what needs no function to be seen."""
    within("--bits", arguments.bits, 2, 16)
    for name in ("input_frac", "output_frac"):
        if (frac := getattr(arguments, name)) is not None:
            within(f"--{name.replace('_', '-')}", frac, -16, 24)
    if (limits := arguments.limits) is not None and not -np.inf < limits[0] <= limits[1] < np.inf:
        raise UsageError("--limits must be finite numbers LO <= HI, not {:g},{:g}".format(*limits))
    if arguments.scales is not None and len(arguments.scales) > 1:
        for name, given in (("--input-frac", arguments.input_frac is not None),
                            ("--monotone", arguments.monotone),
                            ("--max-error", arguments.max_error is not None)):  # fmt: skip
            if given:
                raise UsageError(f"--scales must not be given with {name}")
    elif arguments.scales is not None and arguments.input_frac is not None:
        raise UsageError("--scales must not be given with --input-frac")
    if arguments.monotone and arguments.max_error is not None and arguments.entries is None:
        raise UsageError(
            "--monotone and --max-error must have --entries: the fewest are not searched"
        )


def _function(arguments: argparse.Namespace) -> Function:
    function = lookup(arguments.function, arguments.domain)
    if not 1 / REACH <= max(map(abs, function.domain)) <= REACH:
        raise UsageError(
            "--domain must reach 2^-40 to 2^40, not {:g},{:g}".format(*function.domain)
        )
    if arguments.fold == "auto" and function.symmetry is None:
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
    # The grid of the breakpoints: the finest scale, wide enough for the domain, or for the part of
    # it that the coarsest scale reaches.
    signed, frac = function.domain[0] < 0, scales[-1]
    coarsest = Format(signed, bits, scales[0])
    ends = np.clip(function.domain, *coarsest.real([coarsest.min, coarsest.max]))
    first, last = (int(end * 2.0**frac) for end in ends)
    width = max(bits, signed + max(last.bit_length(), (-first - 1).bit_length()))
    if width > GRID_BITS:
        raise UsageError(
            f"--scales must have a finest scale at which the domain takes at most 2^{GRID_BITS} "
            f"codes, not 2^{width}"
        )
    return Format(signed, width, frac), tuple(Format(signed, bits, s) for s in scales)


def _inside(function: Function, inputs: Format) -> tuple[Function, np.ndarray]:
    """Return the function, and which codes are in its domain.

    A user's function need not be defined outside, where nothing counts: there, it is held at what
    it is at the nearest code inside.
    """
    x = inputs.real(inputs.codes())
    inside = (x >= function.domain[0]) & (x <= function.domain[1])
    if not inside.any():
        raise UsageError(
            f"the domain {function.domain[0]:g} to {function.domain[1]:g} must have a code of the "
            f"input {inputs}, which goes from {x[0]:g} to {x[-1]:g} in steps of {inputs.scale:g}"
        )
    if function.name not in FUNCTIONS:
        ends, evaluate = (x[inside][0], x[inside][-1]), function.evaluate
        function = replace(function, evaluate=lambda x: evaluate(np.clip(x, *ends)))
    y = function(x[inside])
    finite = np.abs(y[np.isfinite(y)])
    if not finite.size or finite.max() > REACH:
        reached = f"{finite.max():.3g}" if finite.size else "infinity everywhere"
        raise UsageError(
            f"{function.name} must have values of at most 2^40 in the domain, not {reached}"
        )
    return function, inside


def _check_formats(arguments: argparse.Namespace, problem: Problem) -> Problem:
    """Return the problem with defaults that suit the given formats and every scale."""
    slope, intercept = problem.slope, problem.intercept
    coarsest = min((form.frac for form in problem.shared), default=problem.input.frac)
    lack = intercept.frac - slope.frac - coarsest
    if lack > 0 and arguments.slope is None:
        slope = Format(slope.signed, slope.bits + lack, slope.frac + lack)
    elif lack > 0 and arguments.intercept is None:
        intercept = Format(intercept.signed, max(1, intercept.bits - lack), intercept.frac - lack)
    elif lack > 0:
        raise UsageError(
            f"--intercept must have at most {intercept.frac - lack} fraction bits, those of slope "
            f"{slope} and of inputs of scale 2^{-coarsest}, not {intercept}"
        )
    problem = replace(problem, slope=slope, intercept=intercept)
    trial = problem.table((), (0,), (0,), {})  # before a long fit
    for form in problem.shared:
        trial.at(form)
    if problem.exact:
        at = -problem.input.min
        if not problem.used[at]:
            raise UsageError("--exact-zero must have 0 among the codes that count")
        low, high = problem.limits or (-np.inf, np.inf)
        if not low <= problem.target[at] <= high:
            raise UsageError(
                f"--limits must contain {problem.function} at 0, {problem.target[at]:g}, with "
                f"--exact-zero, not be {low:g},{high:g}"
            )
        value = problem.target[at] / intercept.scale
        if not arguments.max_error and value != np.floor(value):
            raise UsageError(
                f"--exact-zero must have an intercept format that holds {problem.function} at 0, "
                f"{problem.target[at]:g}, not {intercept}"
            )
    return problem


def problem_of(arguments: argparse.Namespace) -> tuple[Problem, Function]:
    """Return the problem that parsed options of `add_problem` ask for, and its function.

    Raises
    ------
    UsageError
        If an option is out of range, or does not go with another.
    """
    objective = _objective(arguments)
    _check(arguments)
    function = _function(arguments)
    inputs, shared = _input(arguments, function)
    if arguments.entries is not None:
        within("--entries", arguments.entries, 1, min(4096, 1 << inputs.bits))
    function, inside = _inside(function, inputs)
    output = function.whole_output_format(arguments.bits, inputs, arguments.output_frac)
    x = inputs.real(inputs.codes())
    weights = None if inside.all() else inside.astype(float)
    if arguments.weights is not None:
        density = Histogram.load(arguments.weights).weights(x)
        weights = density if weights is None else weights * density
        if not weights.any():
            raise UsageError(f"{arguments.weights}: must have counts where the input has codes")
    fold = None
    if arguments.fold == "auto" and function.symmetry is not None:
        if shared:
            raise UsageError(f"--scales must not be given with --fold auto for {function.name}")
        fold = fold_for(function, function.symmetry, inputs, output)
    error = None
    if arguments.max_error is not None:
        value, in_ulp = arguments.max_error
        error = value if in_ulp else value / output.scale
        if error < 0.5:
            given = f"{value:g}{'ulp' if in_ulp else ''}"
            raise UsageError(
                f"--max-error must be 0.5ulp or more, {output.scale / 2:g} for the output "
                f"{output}, not {given}"
            )
    problem = make_problem(
        function.name, function(x), inputs, output, arguments.entries or ENTRIES, function,
        fold=fold, weights=weights, slope=arguments.slope, intercept=arguments.intercept,
        shared=shared, objective="mse" if objective == "weighted" else objective,
        mix=(1.0 if arguments.mix is None else arguments.mix) if objective == "mixed" else 0.0,
        limits=arguments.limits, exact=(0,) if arguments.exact_zero else (),
        monotone=arguments.monotone, max_ulp=error,
        nn_range=function.domain, nn_signs=function.nn_signs,
    )  # fmt: skip
    return _check_formats(arguments, problem), function


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what was asked for, JSON-ready: enough to ask for it again.

    A histogram is named by the SHA-256 of its file.
    """
    options = {name: getattr(arguments, name) for name in NAMES}
    options |= {n: v and str(v) for n, v in options.items() if n in ("slope", "intercept")}
    if arguments.weights is not None:
        options["weights"] = hashlib.sha256(read_bytes(arguments.weights)).hexdigest()
    # Not `in (None, False)`: 0 fraction bits are said, too.
    return {n: v for n, v in options.items() if v is not None and v is not False}
