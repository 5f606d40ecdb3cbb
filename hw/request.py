"""What a user asks for: the options of `hw.build` and `sim.run`, checked."""

import math
import re
from dataclasses import dataclass

from nnlut_train import fit
from nnlut_train.errors import UsageError
from nnlut_train.folding import FOLDS
from nnlut_train.functions import FUNCTIONS, Function, lookup
from nnlut_train.tables import DirectTable, PwlTable

__all__ = [
    "ARCHS", "DIRECT_BITS_MAX", "FOLD_CHOICES", "LENGTH_MAX", "OPS", "Request",
]  # fmt: skip

#: What `hw.build` knows by name; a user's ``package.module:callable`` is one more.
OPS = ("softmax", *FUNCTIONS)
ARCHS = ("auto", "pwl", "direct")
FOLD_CHOICES = ("auto", "none")

#: Widest input of a direct table: 4096 values. Each bit more doubles it.
DIRECT_BITS_MAX = 12
#: Longest row.
LENGTH_MAX = 4096


@dataclass(frozen=True)
class Request:
    """What a user asks for; the options of ``python -m hw.build``.

    Parameters
    ----------
    op : str
        One of `OPS`, or a user's ``package.module:callable``.
    bits : int
        Width of input and output: 4 to 16, for softmax 4 to 12.
    fit : str, optional
        Method that learns the tables of lines: one of `nnlut_train.fit.METHODS`; ``optimal`` by
        default.
    entries : int, optional
        Segments of each table of lines; see `segments`.
    input_frac, output_frac : int, optional
        Fraction bits. The defaults cover the function's domain and its range.
    domain : tuple of float, optional
        ``(lo, hi)`` of a user's function.
    length : int, optional
        Softmax: elements of the longest row; 128 by default.
    arch : str
        One of `ARCHS`: how a table is built. What only lines have (`fit`, `entries`, and
        ``fold="none"`` where a range could be reduced) implies ``pwl``.
    fold : str
        One of `FOLD_CHOICES`: range reduction or folding where the function has one, or plain
        tables.
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
    bits: int = 8
    fit: str | None = None
    entries: int | None = None
    input_frac: int | None = None
    output_frac: int | None = None
    domain: tuple[float, float] | None = None
    length: int | None = None
    arch: str = "auto"
    fold: str = "auto"
    seed: int = 0
    table: DirectTable | PwlTable | None = None
    module: str | None = None

    def __post_init__(self) -> None:
        if self.op != "softmax":
            lookup(self.op, self.domain)
        elif self.domain is not None:
            raise UsageError("--domain goes with a unary function, not with softmax")
        high = 12 if self.op == "softmax" else 16
        _within("--bits", self.bits, 4, high, f" for {self.op}")
        if self.entries is not None:
            _within("--entries", self.entries, 1, min(256, 1 << self.bits))
        if self.op == "softmax":
            object.__setattr__(self, "length", 128 if self.length is None else self.length)
            _within("--length", self.length, 1, LENGTH_MAX)
        elif self.length is not None:
            raise UsageError(f"--length goes with softmax, not with {self.op}")
        _within("--seed", self.seed, 0, 2**32 - 1)
        for name, frac in (("--input-frac", self.input_frac), ("--output-frac", self.output_frac)):
            if frac is not None:
                _within(name, frac, -16, 24)
        if self.op == "softmax" and self.output_frac is not None:
            # Its tables grow with the accuracy of the output.
            _within("--output-frac", self.output_frac, 0, 14, " for softmax")
        for name, value, allowed in (
            ("--fit", self.method, tuple(fit.METHODS)),
            ("--arch", self.arch, ARCHS),
            ("--fold", self.fold, FOLD_CHOICES),
        ):
            if value not in allowed:
                raise UsageError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
        if self.arch == "direct" and self.bits > DIRECT_BITS_MAX:
            raise UsageError(
                f"--arch direct must have --bits of at most {DIRECT_BITS_MAX}, not {self.bits}"
            )
        if self.module is not None and not re.fullmatch(r"[A-Za-z_]\w*", self.module, re.ASCII):
            raise UsageError(f"--name must be a Verilog identifier, not {self.module!r}")
        if self.table is not None and self.op == "softmax":
            raise UsageError("--table goes with a unary function, not with softmax")
        if self.table is not None:
            given = {"--entries": self.entries, "--input-frac": self.input_frac,
                     "--output-frac": self.output_frac, "--fit": self.fit}  # fmt: skip
            for name, value in given.items():
                if value is not None:
                    raise UsageError(f"{name} must not be given with --table, which fixes it")
            if self.table.meta.get("function", self.op) != self.op:
                raise UsageError(
                    f"--table must be of {self.op}, not of {self.table.meta['function']}"
                )
            asked = self.table.meta.get("request")
            scales = asked.get("scales") if isinstance(asked, dict) else None
            if isinstance(scales, list) and len(scales) > 1 and self.table.input.bits > self.bits:
                raise UsageError(
                    "--table must be of one input scale (one of FILE.frac*.json), not the shared "
                    f"one of {len(scales)} scales"
                )
            if self.table.input.bits != self.bits:
                raise UsageError(
                    f"--bits must be the table's {self.table.input.bits}, not {self.bits}"
                )
            if self.fold == "none" and self.table.fold is not None:
                raise UsageError(
                    f"--fold must be auto with a --table that is folded ({self.table.fold.kind}), "
                    f"not none"
                )
            if self.arch not in ("auto", self.table.kind):
                raise UsageError(f"--arch must be the table's, {self.table.kind}, not {self.arch}")
        if self.arch == "direct" and (option := self._lines_option):
            raise UsageError(f"{option} goes with --arch pwl, not with --arch direct")

    @property
    def _lines_option(self) -> str | None:
        """An option that only a table of lines can have, if one was given."""
        reducible = self.op == "softmax" or self.function.reduction not in (None, *FOLDS)
        if self.fold == "none" and reducible and self.table is None:
            return "--fold none"
        return "--fit" if self.fit else "--entries" if self.entries else None

    @property
    def method(self) -> str:
        """The method that learns the tables of lines."""
        return self.fit or "optimal"

    @property
    def possible(self) -> tuple[str, ...]:
        """The architectures that could build this."""
        if self.table is not None:
            return (self.table.kind,)
        return ("pwl", "direct") if self.bits <= DIRECT_BITS_MAX else ("pwl",)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The architectures that are asked for; of several, the smallest is to be built."""
        if self.arch != "auto":
            return (self.arch,)
        return ("pwl",) if self._lines_option else self.possible

    @property
    def segments(self) -> int:
        """Segments of each table of lines: by default 16, the papers' number.

        Twice as many for every 2 bits beyond 8: the error of lines falls with the square of their
        number.
        """
        return self.entries or max(16, 1 << math.ceil(self.bits / 2))

    @property
    def name(self) -> str:
        """Name of the build and of its Verilog module: by default, of op and bits."""
        return self.module or f"{re.sub(r'[^0-9A-Za-z_]', '_', self.op)}_int{self.bits}"

    @property
    def function(self) -> Function:
        """The function of a unary op."""
        return lookup(self.op, self.domain)


def _within(name: str, value: int, low: int, high: int, context: str = "") -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} must be {low} to {high}{context}, not {value}")
