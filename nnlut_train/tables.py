"""The integer tables that the hardware holds; `nnlut_train.files` reads and writes them."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from .errors import UsageError
from .folding import Fold
from .formats import Format, round_shift

__all__ = ["SCHEMA", "DirectTable", "PwlTable", "Table", "digest"]

SCHEMA = 2


def digest(data: Any) -> str:
    """Return the SHA-256 of canonical JSON."""
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _integers(name: str, values: Any, count: int, low: int, high: int) -> tuple[int, ...]:
    values = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(values, list | tuple) or any(type(v) is not int for v in values):
        raise UsageError(f"table: {name} must be a list of integers")
    if len(values) != count:
        raise UsageError(f"table: {name} must have {count} values, not {len(values)}")
    for position, value in enumerate(values):
        if not low <= value <= high:
            raise UsageError(f"table: {name}[{position}] must be {low} to {high}, not {value}")
    return tuple(values)


@dataclass(frozen=True)
class Table(ABC):
    """What all tables have in common.

    Parameters
    ----------
    input, output : Format
        Formats of the argument and of the result.
    meta : mapping
        Where the table comes from: function, domain, method, measured errors, and for lines seed,
        objective and more. Not part of `sha256`, but of the file's checksum.
    fold : Fold, optional
        How the argument is folded; keyword only.
    """

    kind: ClassVar[str]
    _integer_fields: ClassVar[tuple[str, ...]]

    input: Format
    output: Format
    fold: Fold | None = field(default=None, kw_only=True)

    @classmethod
    @abstractmethod
    def _format_names(cls, folded: bool) -> tuple[str, ...]:
        """Return the names of the format fields in a file."""

    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = {"kind": self.kind}
        names = self._format_names(self.fold is not None)
        content |= {name: str(getattr(self, name)) for name in names}
        if self.fold is not None:
            content["fold"] = self.fold.to_json()
        return content | {name: list(getattr(self, name)) for name in self._integer_fields}

    def _check_fold(self, frac: int) -> None:
        """Raise unless the fold suits the input, and values of `frac` fraction bits."""
        if self.fold is None:
            return
        magnitude = self.fold.magnitude
        if not self.input.signed or magnitude.frac != self.input.frac:
            raise UsageError(
                f"table: a folded input must be signed and have the fraction bits of the "
                f"magnitude {magnitude}, not {self.input}"
            )
        if magnitude.bits > self.input.bits:
            raise UsageError(
                f"table: the magnitude of input {self.input} must have at most "
                f"{self.input.bits} bits, not {magnitude.bits}"
            )
        if lack := self.fold.lacks(frac):
            raise UsageError(
                f"table: what the fold {self.fold.kind} of input {self.input} unfolds must have at "
                f"least {frac + lack} fraction bits, not {frac}"
            )

    def _unfolding(self, frac: int) -> int:
        """Return by how much the unfolding can enlarge values of `frac` fraction bits at most."""
        if self.fold is None:
            return 0
        added = {"complement": 1 << max(frac, 0),
                 "relu": -self.input.min << max(frac - self.input.frac, 0)}  # fmt: skip
        return added.get(self.fold.kind, 0)

    @property
    def argument(self) -> Format:
        """Format of what is looked up: the input's, or the magnitude's if folded."""
        return self.input if self.fold is None else self.fold.magnitude

    def _arguments(self, codes: np.ndarray) -> np.ndarray:
        return codes if self.fold is None else self.fold.arguments(codes)

    def _unfold(self, codes: np.ndarray, values: np.ndarray, frac: int) -> np.ndarray:
        """Unfold integer `values` with `frac` fraction bits."""
        if self.fold is None:
            return values
        return self.fold.unfold(
            codes, values, 1 << max(frac, 0), 1 << max(frac - self.input.frac, 0)
        )

    @property
    def sha256(self) -> str:
        """SHA-256 over the canonical JSON of kind, formats, fold and integers."""
        return digest(self._content())

    def to_json(self) -> dict[str, Any]:
        """Return the table as JSON-ready data."""
        data = {
            "schema": SCHEMA, **self._content(), "sha256": self.sha256, "meta": dict(self.meta),
        }  # fmt: skip
        return data | {"checksum": digest(data)}


@dataclass(frozen=True)
class DirectTable(Table):
    """One value for every input code: ``y = saturate(round_shift(unfold(value), shift))``.

    Without a fold, a value is the output code itself.

    Parameters
    ----------
    values : sequence of int
        2**argument.bits codes, in ascending order of the argument's code.
    value : Format, optional
        Format of the values: the output's by default, and always without a fold.

    Raises
    ------
    UsageError
        If a value is out of its range, or the formats do not go together.
    """

    kind = "direct"
    _integer_fields = ("values",)

    values: tuple[int, ...]
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)
    value: Format | None = None

    def __post_init__(self) -> None:
        if self.value is None:
            object.__setattr__(self, "value", self.output)
        self._check_fold(self.value.frac)
        if self.shift < 0 or (self.fold is None and self.value != self.output):
            raise UsageError(
                f"table: values must have the format of the output {self.output}, and if folded "
                f"at least its fraction bits, not {self.value}"
            )
        object.__setattr__(
            self, "values",
            _integers("values", self.values, 1 << self.argument.bits,
                      self.value.min, self.value.max),
        )  # fmt: skip
        reach = max(-self.value.min, self.value.max) + self._unfolding(self.value.frac)
        if reach >> 62 or self.shift > 62:
            raise UsageError(
                f"table: what is unfolded from values {self.value} and input {self.input} must fit "
                f"63 bits"
            )

    @classmethod
    def _format_names(cls, folded: bool) -> tuple[str, ...]:
        return ("input", "output", "value") if folded else ("input", "output")

    @property
    def shift(self) -> int:
        """Fraction bits that a value has beyond the output."""
        return self.value.frac - self.output.frac

    @property
    def storage_bits(self) -> int:
        """Bits of table storage."""
        return len(self.values) * self.value.bits

    def lookup(self, codes: np.ndarray) -> np.ndarray:
        """Return the output codes (int64) of input `codes` of any shape."""
        codes = np.asarray(codes, dtype=np.int64)
        at = self._arguments(codes) - self.argument.min
        values = self._unfold(codes, np.array(self.values, dtype=np.int64)[at], self.value.frac)
        return self.output.saturate(round_shift(values, self.shift))


@dataclass(frozen=True)
class PwlTable(Table):
    """A piecewise-linear table of N segments.

    ``y = saturate(round_shift(unfold(slope[i] * q + (intercept[i] << align)), shift))`` where q is
    the argument, the input or its magnitude, and i the number of breakpoints p with ``q >= p``: a
    tie belongs to the segment on the right. Without a fold, `unfold` does nothing.

    Parameters
    ----------
    slope, intercept : Format
        Formats of the coefficients. With `input` and `output` they fix the two shifts.
    breakpoints : sequence of int
        N - 1 strictly ascending codes of the argument.
    slopes, intercepts : sequence of int
        N codes each.

    Raises
    ------
    UsageError
        If a value is out of its range, or the formats give a negative shift or a sum of more than
        63 bits.
    """

    kind = "pwl"
    _integer_fields = ("breakpoints", "slopes", "intercepts")

    slope: Format
    intercept: Format
    breakpoints: tuple[int, ...]
    slopes: tuple[int, ...]
    intercepts: tuple[int, ...]
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def _format_names(cls, folded: bool) -> tuple[str, ...]:
        return ("input", "output", "slope", "intercept")

    def __post_init__(self) -> None:
        self._check_fold(self.slope.frac + self.input.frac)
        sized = isinstance(self.slopes, list | tuple | np.ndarray)
        entries = len(self.slopes) if sized else 0
        if entries < 1:
            raise UsageError("table: slopes must be a list of at least 1 integer")
        for name, count, form in (
            ("breakpoints", entries - 1, self.argument),
            ("slopes", entries, self.slope),
            ("intercepts", entries, self.intercept),
        ):
            values = _integers(name, getattr(self, name), count, form.min, form.max)
            object.__setattr__(self, name, values)
        for left, right in zip(self.breakpoints, self.breakpoints[1:], strict=False):
            if left >= right:
                raise UsageError(f"table: breakpoints must ascend, not {left} before {right}")
        for name in ("align", "shift"):
            if getattr(self, name) < 0:
                raise UsageError(
                    f"table: slope {self.slope} times input {self.input} must have at least as "
                    f"many fraction bits as "
                    f"{'intercept' if name == 'align' else 'output'} "
                    f"{self.intercept if name == 'align' else self.output}"
                )
        q = max(-self.argument.min, self.argument.max)
        reach = max(-self.slope.min, self.slope.max) * q
        reach += max(-self.intercept.min, self.intercept.max) << self.align
        reach += self._unfolding(self._frac)
        if reach >> 62 or self.shift > 62:
            raise UsageError(
                f"table: slope {self.slope} times input {self.input} plus intercept "
                f"{self.intercept} must fit 63 bits"
            )

    @property
    def _frac(self) -> int:
        """Fraction bits of product and sum."""
        return self.slope.frac + self.input.frac

    @property
    def entries(self) -> int:
        """Number of segments N."""
        return len(self.slopes)

    @property
    def align(self) -> int:
        """Left shift that brings an intercept to the scale of the product."""
        return self._frac - self.intercept.frac

    @property
    def shift(self) -> int:
        """Fraction bits that the sum has beyond the output."""
        return self._frac - self.output.frac

    @property
    def storage_bits(self) -> int:
        """Bits of table storage: breakpoints, slopes and intercepts."""
        return (
            (self.entries - 1) * self.argument.bits
            + self.entries * (self.slope.bits + self.intercept.bits)
        )  # fmt: skip

    def segment(self, codes: np.ndarray) -> np.ndarray:
        """Return the segment index (int64) of input `codes` of any shape."""
        return np.searchsorted(
            np.array(self.breakpoints, np.int64), self._arguments(np.asarray(codes)), side="right"
        )

    def lookup(self, codes: np.ndarray) -> np.ndarray:
        """Return the output codes (int64) of input `codes` of any shape."""
        codes = np.asarray(codes, dtype=np.int64)
        i = self.segment(codes)
        slope = np.array(self.slopes, np.int64)[i]
        intercept = np.array(self.intercepts, np.int64)[i]
        total = slope * self._arguments(codes) + (intercept << self.align)
        return self.output.saturate(round_shift(self._unfold(codes, total, self._frac), self.shift))

    def line(self, x: np.ndarray) -> np.ndarray:
        """Return the lines' real values (unfolded, not rounded) at real arguments `x`."""
        codes = np.asarray(x, dtype=np.float64) / self.input.scale
        i = self.segment(codes)
        slope = self.slope.real(np.array(self.slopes))[i]
        value = slope * self._arguments(codes) * self.input.scale
        value += self.intercept.real(np.array(self.intercepts))[i]
        return value if self.fold is None else self.fold.unfold(x, value, 1.0, 1.0)

    def at(self, form: Format) -> "PwlTable":
        """Return the same lines for inputs of another scale (GQA-LUT, DAC 2024).

        Slopes and intercepts stay; breakpoints are rounded half up to the codes of `form`, and
        segments without a code vanish. The output loses fraction bits that the product no longer
        has.

        Raises
        ------
        UsageError
            If `form` is finer than the input, has another sign, or the intercepts do not fit it.
        """
        drop = self.input.frac - form.frac
        if drop < 0 or form.signed != self.input.signed:
            raise UsageError(
                f"table: an input of format {self.input} can be rounded to fewer fraction bits "
                f"of the same sign, not to {form}"
            )
        fold, argument = self.fold, form
        if fold is not None:
            bits = min(form.bits, max(1, fold.magnitude.bits - drop))
            argument = Format(False, bits, form.frac)
            fold = Fold(fold.kind, argument)
        edges = round_shift(np.array(self.breakpoints, np.int64), drop)
        edges = np.concatenate([[argument.min], edges, [argument.max + 1]])
        edges = np.clip(edges, argument.min, argument.max + 1)
        keep = edges[:-1] < edges[1:]
        breakpoints = edges[:-1][keep][1:].tolist()
        slopes, intercepts = (
            tuple(np.array(v)[keep].tolist()) for v in (self.slopes, self.intercepts)
        )
        output = self.output
        frac = min(output.frac, self.slope.frac + form.frac)
        output = Format(output.signed, output.bits, frac)
        return PwlTable(
            form, output, self.slope, self.intercept, tuple(breakpoints), slopes, intercepts,
            self.meta, fold=fold,
        )  # fmt: skip
