"""Whether the options of a request are in range and go together."""

import math
import re
from typing import TYPE_CHECKING, Any

from nnlut_train import fit
from nnlut_train.errors import UsageError
from nnlut_train.functions import lookup
from nnlut_train.logic import TARGETS
from sim.golden import LANES

from .choices import (
    ARCH_BITS_MAX,
    ARCHS,
    EPS,
    FLOAT_BITS,
    FOLD_CHOICES,
    LENGTH_MAX,
    LUT_PRECISIONS,
    METHODS,
    OPS,
    PRECISIONS,
    ROW_OPS,
    TABLES_CHOICES,
    WIDE_BITS,
)

if TYPE_CHECKING:
    from .request import Request

__all__ = ["check", "is_identifier"]

#: Epsilon, and magnitudes of gamma and beta, up to which the sums inside a norm are of 62 bits.
EPS_MAX, GAIN_MAX = 1e6, 1024.0

#: Words that name no module in Verilog or C, and so no build.
KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """
    always and assign auto begin bool break buf bufif0 bufif1 case casex casez cell char class cmos
    config const continue deassign default defparam design disable do double edge else end endcase
    endconfig endfunction endgenerate endmodule endprimitive endspecify endtable endtask enum event
    extern float for force forever fork function generate genvar goto highz0 highz1 if ifnone incdir
    include initial inline inout input instance int integer join large liblist library localparam
    long logic macromodule main medium module nand negedge nmos nor noshowcancelled not notif0
    notif1 or output parameter pmos posedge primitive pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent rcmos real realtime reg register release repeat restrict
    return rnmos rpmos rtran rtranif0 rtranif1 scalared short showcancelled signed sizeof small
    specify specparam static strong0 strong1 struct supply0 supply1 switch table task time tran
    tranif0 tranif1 tri tri0 tri1 triand trior trireg typedef union unsigned use uwire vectored void
    volatile wait wand weak0 weak1 while wire wor xnor xor
    """,
    )
)


def _within(name: str, value: float, low: float, high: float, context: str = "") -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} must be {low} to {high}{context}, not {value}")


def _one_of(name: str, value: Any, allowed: tuple[Any, ...], context: str = "") -> None:
    if value not in allowed:
        choices = "one of " * (len(allowed) > 1) + ", ".join(map(str, allowed))
        raise UsageError(f"{name} must be {choices}{context}, not {value!r}")


def is_identifier(name: str) -> bool:
    """Return whether a module can have this name in Verilog, and what goes with it in C."""
    return bool(re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)) and name.lower() not in KEYWORDS


def check(request: "Request") -> None:
    """Check a request.

    Raises
    ------
    UsageError
        If an option is out of range, or does not go with another.
    """
    _names(request)
    _belong(request)
    _ranges(request)
    if request.table is not None:
        _table(request)
    _architecture(request)


def _names(request: "Request") -> None:
    """Check what is chosen from a list."""
    if request.op not in ROW_OPS:
        _functions(request)
    _one_of("--method", request.method, METHODS.get(request.op, ("nnlut",)), f" for {request.op}")
    for name, value, allowed in (
        ("--fit", request.fit_method, tuple(fit.METHODS)),
        ("--arch", request.arch, ARCHS),
        ("--logic", request.logic, tuple(TARGETS)),
        ("--fold", request.fold, FOLD_CHOICES),
        ("--tables", request.tables, TABLES_CHOICES),
        ("--lanes", request.lanes, LANES),
        ("--precision", request.precision or "uint8", PRECISIONS),
    ):
        _one_of(name, value, allowed)
    if request.module is not None and not is_identifier(request.module):
        raise UsageError(f"--name must be a Verilog identifier, not {request.module!r}")


def _functions(request: "Request") -> None:
    """Check the names of unary functions."""
    if "" in request.ops:
        raise UsageError(
            f"--op must be one name, or several with one comma between, not {request.op!r}"
        )
    if len(set(request.ops)) < len(request.ops):
        raise UsageError(f"--op must name each function once, not {request.op}")
    for op in request.ops:
        if op in ROW_OPS:
            raise UsageError(f"--op must be {op} alone, or unary functions, not {request.op}")
        if op not in OPS and ":" not in op:
            raise UsageError(
                f"--op must be one of {', '.join(OPS)}, or package.module:callable, not {op!r}"
            )
        lookup(op, request.domain)


def _belong(request: "Request") -> None:
    """Check that every option goes with the op and the method."""
    op, row, norm = request.op, request.op in ROW_OPS, request.op in EPS
    formula, shared = request.by_formula, len(request.ops) > 1
    tabled = op == "softmax" and request.method == "nnlut"
    rules = (
        ("--domain", request.domain is not None, not row and not shared, "one unary function"),
        ("--table", request.table is not None, not row and not shared and not formula,
         "one unary function"),
        ("--length", request.length is not None, row, "softmax, layernorm and rmsnorm"),
        ("--stages", request.stages is not None, not row, "unary functions"),
        ("--interval", request.interval != 1, not row, "unary functions"),
        ("--mask", request.mask, op == "softmax", "softmax"),
        ("--distance-bits", request.distance_bits is not None, tabled, "softmax by nnlut"),
        ("--distance-frac", request.distance_frac is not None, tabled, "softmax by nnlut"),
        ("--eps", request.eps is not None, norm, "layernorm and rmsnorm"),
        ("--gamma", request.gamma is not None, norm, "layernorm and rmsnorm"),
        ("--beta", request.beta is not None, norm, "layernorm and rmsnorm"),
        ("--input-frac", request.input_frac is not None, not shared, "one function"),
        ("--output-frac", request.output_frac is not None, not shared, "one function"),
        ("--fit", request.fit is not None, not formula, "tables of lines"),
        ("--entries", request.entries is not None, request.method != "ibert", "tables"),
        ("--fold", request.fold != "auto", not formula, "tables of lines"),
        ("--tables writable", request.tables == "writable", not formula, "tables of lines"),
    )  # fmt: skip
    for name, given, goes, what in rules:
        if given and not goes:
            method = f" by {request.method}" if request.method != "nnlut" else ""
            raise UsageError(f"{name} goes with {what}, not with {op}{method}")
    _precision(request)


def _precision(request: "Request") -> None:
    """Check that the output is what the precision says, where there is one."""
    if request.precision in FLOAT_BITS:
        _floating(request)
        return
    if request.method not in ("rexp", "lut2d"):
        if request.precision is not None:
            raise UsageError(f"--precision needs --method rexp or lut2d, not {request.method}")
        return
    for name, given in (
        ("--output-bits", request.output_bits != request.bits),
        ("--output-frac", request.output_frac is not None),
    ):
        if given:
            raise UsageError(
                f"{name} must not be given with --method {request.method}, whose output "
                "--precision sets"
            )


def _floating(request: "Request") -> None:
    """Check that all goes with floating-point lines."""
    precision, bits = request.precision, FLOAT_BITS[request.precision]
    if request.op in ROW_OPS or len(request.ops) > 1 or request.method != "nnlut":
        method = f" by {request.method}" if request.method != "nnlut" else ""
        raise UsageError(
            f"--precision {precision} goes with one unary function by nnlut, not with "
            f"{request.op}{method}; one of {', '.join(LUT_PRECISIONS)} goes with rexp and lut2d"
        )
    for name, value in (("--bits", request.bits), ("--output-bits", request.output_bits)):
        if value != bits:
            raise UsageError(f"{name} must be {bits} with --precision {precision}, not {value}")
    for name, value in (
        ("--input-frac", request.input_frac), ("--output-frac", request.output_frac),
        ("--max-error", request.max_error),
    ):  # fmt: skip
        if value is not None:
            raise UsageError(f"{name} goes with fixed point, not with --precision {precision}")
    if request.table is not None and request.table.kind != "float_pwl":
        raise UsageError(
            f"--table must be of kind float_pwl with --precision {precision}, "
            f"not {request.table.kind}"
        )


def _ranges(request: "Request") -> None:
    op, row, norm = request.op, request.op in ROW_OPS, request.op in EPS
    wide = not row and not request.by_formula and len(request.ops) == 1
    if not (wide and request.bits == WIDE_BITS):
        low, high = (8, 16) if norm else (4, 12) if op == "softmax" else (4, 16)
        more = f", or {WIDE_BITS}" if wide else ""
        if not low <= request.bits <= high:
            raise UsageError(f"--bits must be {low} to {high}{more} for {op}, not {request.bits}")
    if request.output_bits != WIDE_BITS or request.bits != WIDE_BITS:
        _within("--output-bits", request.output_bits, 8 if norm else 4, 16, f" for {op}")
    for name, frac in (
        ("--input-frac", request.input_frac),
        ("--output-frac", request.output_frac),
    ):
        if frac is not None:
            _within(name, frac, -16, 31 if request.bits == WIDE_BITS else 24)
    if op == "softmax":
        if request.output_frac is not None:
            # Its tables grow with the accuracy of the output.
            _within("--output-frac", request.output_frac, 0, 14, " for softmax")
        _distance(request)
    if request.entries is not None:
        seen = request.distance_bits or request.bits
        most = LENGTH_MAX if request.by_formula else min(256, 1 << seen)
        _within("--entries", request.entries, 1, most)
    if request.interval < 1 or request.lanes % request.interval:
        raise UsageError(
            f"--interval must be a divisor of --lanes {request.lanes}, not {request.interval}"
        )
    if row:
        _within("--length", request.length, 1, LENGTH_MAX)
        if over := request.length % request.lanes:
            fitting = request.length + request.lanes - over
            raise UsageError(
                f"--length must be a multiple of --lanes {request.lanes}, such as {fitting}, "
                f"not {request.length}"
            )
    _within("--seed", request.seed, 0, 2**32 - 1)
    if norm:
        if not 0 <= request.eps <= EPS_MAX:
            raise UsageError(f"--eps must be 0 to {EPS_MAX:g}, not {request.eps}")
        for name, values in (("--gamma", request.gamma), ("--beta", request.beta)):
            if values is not None and len(values) != request.length:
                raise UsageError(
                    f"{name} must have --length = {request.length} numbers, not {len(values)}"
                )
            if values is not None and not all(abs(value) <= GAIN_MAX for value in values):
                raise UsageError(f"{name} must have numbers of at most {GAIN_MAX:g} either way")


def _distance(request: "Request") -> None:
    """Check the format of the distance that a softmax's exp table sees."""
    logits = request.logits
    if request.distance_bits is None:
        if request.distance_frac is not None:
            raise UsageError("--distance-frac needs --distance-bits")
        return
    context = f" for logits {logits}"
    _within("--distance-bits", request.distance_bits, 4, logits.bits, context)
    if request.distance_frac is not None:
        low = logits.frac - logits.bits
        _within("--distance-frac", request.distance_frac, low, logits.frac, context)


def _table(request: "Request") -> None:
    """Check that the table is one of this request."""
    table = request.table
    given = {"--entries": request.entries, "--input-frac": request.input_frac,
             "--output-frac": request.output_frac, "--fit": request.fit}  # fmt: skip
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"{name} must not be given with --table, which fixes it")
    if table.meta.get("function", request.op) != request.op:
        raise UsageError(f"--table must be of {request.op}, not of {table.meta['function']}")
    asked = table.meta.get("request")
    scales = asked.get("scales") if isinstance(asked, dict) else None
    if isinstance(scales, list) and len(scales) > 1 and table.input.bits > request.bits:
        raise UsageError(
            "--table must be of one input scale (one of FILE.frac*.json), not the shared "
            f"one of {len(scales)} scales"
        )
    if table.output.bits != request.output_bits:
        raise UsageError(
            f"--output-bits must be the table's {table.output.bits}, not {request.output_bits}"
        )
    if table.input.bits != request.bits:
        raise UsageError(f"--bits must be the table's {table.input.bits}, not {request.bits}")
    if request.fold == "none" and table.fold is not None:
        raise UsageError(
            f"--fold must be auto with a --table that is folded ({table.fold.kind}), not none"
        )
    if request.arch not in ("auto", table.kind):
        raise UsageError(f"--arch must be the table's, {table.kind}, not {request.arch}")
    if request.tables == "writable" and table.kind != "pwl":
        raise UsageError(
            f"--tables writable goes with a table of lines, not with a {table.kind} one"
        )


def _architecture(request: "Request") -> None:
    arch = request.arch
    most = ARCH_BITS_MAX.get(arch, request.bits)
    if request.op not in ROW_OPS and request.bits > most:
        raise UsageError(f"--arch {arch} must have --bits of at most {most}, not {request.bits}")
    if arch not in ("auto", "pwl") and (option := request.lines_option):
        raise UsageError(f"{option} goes with --arch pwl, not with --arch {arch}")
    if request.logic != "gates" and arch != "minimised":
        raise UsageError(f"--logic goes with --arch minimised, not with --arch {arch}")
    if request.max_error is not None and not 0.5 <= request.max_error < math.inf:
        raise UsageError(
            "--max-error must be a number of ulp of at least 0.5, which is correct rounding, "
            f"not {request.max_error}"
        )
    if request.arch != "auto" and request.arch not in request.possible:
        raise UsageError(
            f"--arch must be auto for {request.op} "
            f"{'by ' + request.method if request.by_formula else 'as asked for'}, "
            f"not {request.arch}"
        )
