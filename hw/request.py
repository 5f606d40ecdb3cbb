"""What a user asks for: the options of `hw.build` and `sim.run`."""

import math
import re
from dataclasses import dataclass

from nnlut_train.folding import FOLDS
from nnlut_train.formats import Format
from nnlut_train.functions import Function, lookup
from nnlut_train.tables import DirectTable, PwlTable

from .checks import check
from .choices import (
    ARCH_BITS_MAX,
    EPS,
    FLOAT_BITS,
    LINE_ARCHS,
    ROW_ARCHS,
    ROW_OPS,
    SLOW_ARCHS,
    WIDE_BITS,
)

__all__ = ["ERROR_BOUND_ULP", "Request"]

#: Without ``--max-error``, ``--arch auto`` takes the smallest candidate whose error is below this,
#: in ulp of the output.
ERROR_BOUND_ULP = 1.0


@dataclass(frozen=True)
class Request:
    """What a user asks for; the options of ``python -m hw.build``.

    Parameters
    ----------
    op : str
        One of `hw.choices.OPS`, a user's ``package.module:callable``, or several unary ones with
        commas between: one unit that serves all of them.
    bits : int, optional
        Width of the input: 4 to 16, and 32 for plain lines; softmax 4 to 12; norms 8 to 16. By
        default 8, norms 16.
    output_bits : int, optional
        Width of the output, 4 to 16, norms 8 to 16. By default that of the input, norms 8.
    method : str
        One of the op's `METHODS`.
    precision : str, optional
        Methods rexp and lut2d: one of `LUT_PRECISIONS`; ``uint8`` by default. Lines: one of
        `FLOAT_BITS`, for floating point; fixed point by default.
    fit : str, optional
        Method that learns the tables of lines: one of `nnlut_train.fit.METHODS`; ``optimal`` by
        default.
    entries : int, optional
        Segments of each table of lines, see `segments`; of rexp and lut2d the sums told apart.
    input_frac, output_frac : int, optional
        Fraction bits. The defaults cover the function's domain and its range.
    domain : tuple of float, optional
        ``(lo, hi)`` of a user's function.
    length : int, optional
        Row units: elements of the longest row, a multiple of `lanes`; 128 by default.
    lanes : int
        Elements a beat.
    interval : int
        Unary units: initiation interval, clocks a beat; so many lanes share one copy of the unit.
    mask : bool
        Softmax: a mask bit an element.
    distance_bits, distance_frac : int, optional
        Softmax by nnlut: format of the distance from the row's maximum that the exp table sees, see
        `distance`; by default that of the exact distance.
    eps : float, optional
        Norms: what is added to the variance; `EPS` by default.
    gamma, beta : tuple of float, optional
        Norms: gain and offset of each position, `length` of them; by default 1 and 0.
    arch : str
        One of `ARCHS`: how a table is built. What only lines have (`fit`, `entries`, and
        ``fold="none"`` where a range could be reduced) implies ``pwl``.
    max_error : float, optional
        What ``--arch auto`` allows, in ulp of the output: candidates have at most this error. By
        default it is below `ERROR_BOUND_ULP`. A minimised table makes use of it, and is correctly
        rounded by default.
    logic : str
        Minimised tables: what for, one of `nnlut_train.logic.TARGETS`.
    fold : str
        One of `FOLD_CHOICES`: range reduction or folding where the function has one, or plain
        tables.
    tables : str
        One of `TABLES_CHOICES`: whether tables of lines, gamma and beta can be written at run time.
    stages : int, optional
        Unary units: pipeline stages; by default those of the unit.
    seed : int
        Seed of the fit.
    table : DirectTable or PwlTable, optional
        Table of a unary op, in place of a fit.
    module : str, optional
        Name of the Verilog module; see `name`.

    Raises
    ------
    UsageError
        If an option is out of range, or does not go with another.
    """

    op: str
    bits: int | None = None
    output_bits: int | None = None
    method: str = "nnlut"
    precision: str | None = None
    fit: str | None = None
    entries: int | None = None
    input_frac: int | None = None
    output_frac: int | None = None
    domain: tuple[float, float] | None = None
    length: int | None = None
    lanes: int = 1
    interval: int = 1
    mask: bool = False
    distance_bits: int | None = None
    distance_frac: int | None = None
    eps: float | None = None
    gamma: tuple[float, ...] | None = None
    beta: tuple[float, ...] | None = None
    arch: str = "auto"
    max_error: float | None = None
    logic: str = "gates"
    fold: str = "auto"
    tables: str = "rom"
    stages: int | None = None
    seed: int = 0
    table: DirectTable | PwlTable | None = None
    module: str | None = None

    def __post_init__(self) -> None:
        norm = self.op in EPS
        self._default("bits", FLOAT_BITS.get(self.precision, 16 if norm else 8))
        unary = self.bits if self.table is None else self.table.output.bits
        self._default("output_bits", 8 if norm else unary)
        if self.op in ROW_OPS:
            self._default("length", 128)
        if norm:
            self._default("eps", EPS[self.op])
        check(self)

    def _default(self, name: str, value: object) -> None:
        if getattr(self, name) is None:
            object.__setattr__(self, name, value)

    @property
    def ops(self) -> tuple[str, ...]:
        """The functions of the unit: several if it is shared."""
        return tuple(self.op.split(","))

    @property
    def function(self) -> Function:
        """The function of a unary op."""
        return lookup(self.op, self.domain)

    @property
    def by_formula(self) -> bool:
        """Whether the method has nothing to fit: no tables, or such as a formula gives."""
        return self.method in ("rexp", "lut2d", "kulisch", "ibert")

    @property
    def _reducible(self) -> bool:
        """Whether a range can be reduced."""
        if len(self.ops) > 1:
            return False
        return self.op in ROW_OPS or self.function.reduction not in (None, *FOLDS)

    @property
    def lines_option(self) -> str | None:
        """An option that only a table of lines can have, if one was given."""
        if self.by_formula:
            return None
        if self.tables == "writable":
            return "--tables writable"
        if self.fit or self.entries:
            return "--fit" if self.fit else "--entries"
        # Indexed lines, which are not learned, can do with or without a range reduction, too.
        plain = self.fold == "none" and self.table is None and self._reducible
        return "--fold none" if plain and self.arch not in LINE_ARCHS[1:] else None

    @property
    def logits(self) -> Format:
        """Format of a softmax's logits: by default they reach from -8 to 8."""
        frac = self.bits - 4 if self.input_frac is None else self.input_frac
        return Format(True, self.bits, frac)

    @property
    def distance(self) -> Format:
        """Format of the distance that a softmax's exp table sees.

        By default, of fewer bits than the logits have, it is the finest that reaches 16, where
        exp(-d) is nearly 0, or every distance that there is; but not finer than the logits.
        """
        logits = self.logits
        if self.distance_bits is None:
            return Format(False, logits.bits, logits.frac)
        frac = self.distance_frac
        if frac is None:
            reach = min(4, logits.bits - logits.frac)
            frac = min(self.distance_bits - reach, logits.frac)
        return Format(False, self.distance_bits, frac)

    @property
    def fit_method(self) -> str:
        """The method that learns the tables of lines."""
        return self.fit or "optimal"

    @property
    def possible(self) -> tuple[str, ...]:
        """The architectures that could build this."""
        if self.precision in FLOAT_BITS:
            return ("pwl",)
        if self.table is not None:
            return (self.table.kind,)
        if self.method == "ibert":
            return ("integer",)
        if self.by_formula:
            return ("direct",)
        if len(self.ops) > 1 or self.tables == "writable":
            return ("pwl",)
        if self.op in ROW_OPS:
            return ROW_ARCHS
        every = tuple(arch for arch in ARCH_BITS_MAX if arch == self.arch or arch not in SLOW_ARCHS)
        return tuple(arch for arch in every if self.bits <= ARCH_BITS_MAX[arch])

    @property
    def compared(self) -> tuple[str, ...]:
        """The architectures that a build designs: those wanted, and the usual ones beside them."""
        wanted = self.wanted
        return tuple(a for a in self.possible if a in wanted or a in ROW_ARCHS)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The architectures that are asked for; of several, the smallest is to be built."""
        if self.arch != "auto":
            return (self.arch,)
        return ("pwl",) if self.lines_option else self.possible

    def allows(self, error: float) -> bool:
        """Return whether ``--arch auto`` may take a unit with this largest error, in ulp."""
        return error < ERROR_BOUND_ULP if self.max_error is None else error <= self.max_error

    @property
    def segments(self) -> int:
        """Segments of each table of lines: by default 16, the papers' number.

        Twice as many for every 2 bits beyond 8 that the table sees: the error of lines falls with
        the square of their number. The plain 32-bit unit has the papers' 16.
        """
        bits = 8 if self.bits == WIDE_BITS else self.distance_bits or self.bits
        return self.entries or max(16, 1 << math.ceil(bits / 2))

    @property
    def name(self) -> str:
        """Name of the build and of its Verilog module: by default, of what was asked for."""
        if self.module:
            return self.module
        parts = [re.sub(r"[^0-9A-Za-z_]", "_", self.op)]
        if self.method != "nnlut":
            parts.append(self.method)
        parts.append(self.precision or f"int{self.bits}")
        if self.distance_bits is not None:
            parts.append(f"d{self.distance_bits}")
        if self.lanes > 1:
            parts.append(f"x{self.lanes}")
        if self.interval > 1:
            parts.append(f"ii{self.interval}")
        parts += ["masked"] * self.mask + ["writable"] * (self.tables == "writable")
        return "_".join(parts)
