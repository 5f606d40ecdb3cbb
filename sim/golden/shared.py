"""Several functions, one multiply-add: tables of lines, of which a beat chooses one."""

from dataclasses import dataclass

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from nnlut_train.tables import PwlTable

from .spec import UnarySpec

__all__ = ["SharedSpec", "total"]


def total(table: PwlTable, codes: np.ndarray) -> np.ndarray:
    """Return what a table's multiply-add gives before rounding: integers of any size.

    Parameters
    ----------
    table : PwlTable
        The table.
    codes : int64 array
        Input codes of any shape.
    """
    codes = np.asarray(codes, dtype=np.int64)
    at, fold = table.segment(codes), table.fold
    argument = codes if fold is None else fold.arguments(codes)
    value = np.array(table.slopes, np.int64)[at] * argument
    value += np.array(table.intercepts, np.int64)[at] << table.align
    if fold is None:
        return value
    frac = table.slope.frac + table.input.frac
    return fold.unfold(codes, value, 1 << max(frac, 0), 1 << max(table.slope.frac, 0))


def _word(form: Format) -> Format:
    """Return the format of the bits of a code, whatever they stand for."""
    return Format(False, form.bits, 0)


def _recoded(codes: np.ndarray, old: Format, new: Format) -> np.ndarray:
    """Return codes whose bits are those of `codes`, read in a format of another sign."""
    return codes if old.signed == new.signed else (codes - new.min) % (1 << new.bits) + new.min


@dataclass(frozen=True)
class SharedSpec(UnarySpec):
    """Several unary functions by one multiply-add, rounding and saturation.

    NN-LUT's hardware (Yu et al., DAC 2022, Section 3): another function is another table. All
    tables stay in the unit, and each beat names the function it wants. Each function has its own
    input and output format, fold, breakpoints and coefficients; what they share are the widths of
    input and output and the two shifts, so that for each of them
    ``y = saturate(round_shift(unfold(slope * q + (intercept << align)), shift))``.

    Parameters
    ----------
    functions : tuple of PwlTable
        At least 2; function i is chosen by the number i, the last one by any larger number too.

    Raises
    ------
    UsageError
        If the tables do not go together, or the magnitude of a folded one could saturate.
    """

    kind = "shared"

    functions: tuple[PwlTable, ...]

    def __post_init__(self) -> None:
        if len(self.functions) < 2:
            raise UsageError(
                f"spec: shared.functions must be at least 2 tables, not {len(self.functions)}"
            )
        first = self.functions[0]
        for number, table in enumerate(self.functions):
            for name, wanted, given in (
                ("input bits", first.input.bits, table.input.bits),
                ("output bits", first.output.bits, table.output.bits),
                ("shift", first.shift, table.shift),
                ("align", first.align, table.align),
            ):
                if wanted != given:
                    raise UsageError(
                        f"spec: shared.functions.{number} must have the {name} of the first, "
                        f"{wanted}, not {given}"
                    )
            # The code itself is multiplied: its sign goes into the coefficients.
            if table.fold is not None and table.argument.bits < table.input.bits:
                raise UsageError(
                    f"spec: shared.functions.{number} must have a magnitude of "
                    f"{table.input.bits} bits, not {table.argument.bits}"
                )

    @property
    def input(self) -> Format:
        """The functions' input format; where they differ, that of unsigned words."""
        forms = {table.input for table in self.functions}
        return forms.pop() if len(forms) == 1 else _word(self.functions[0].input)

    @property
    def output(self) -> Format:
        """The functions' output format; where they differ, that of unsigned words."""
        forms = {table.output for table in self.functions}
        return forms.pop() if len(forms) == 1 else _word(self.functions[0].output)

    @property
    def user_bits(self) -> int:
        """Bits of the function's number, which a beat carries as ``tuser``."""
        return (len(self.functions) - 1).bit_length()

    @property
    def shift(self) -> int:
        """Fraction bits that every sum has beyond the output."""
        return self.functions[0].shift

    @property
    def align(self) -> int:
        """Left shift that brings every intercept to the scale of the product."""
        return self.functions[0].align

    @property
    def latency(self) -> int:
        """Three clocks: segment and sign; multiply, add, round; saturate."""
        return 3

    def segment(self, codes: np.ndarray) -> np.ndarray:
        """Return a number for each of `codes`: it changes at the edges of every function."""
        numbers = np.zeros(np.shape(codes), dtype=np.int64)
        for table in self.functions:
            own = _recoded(np.asarray(codes), self.input, table.input)
            negative = own < 0 if table.fold else np.zeros_like(own)
            # Of many functions it may wrap: a sum of odd multiples stays apart from its neighbours.
            numbers = numbers * (4 * table.entries + 1) + 2 * table.segment(own) + negative
        return numbers

    def compute(self, codes: np.ndarray, users: np.ndarray | int | None = None) -> np.ndarray:
        """Return the output codes (int64, same shape) of input `codes`, bit-exact.

        Parameters
        ----------
        codes : int array
            Of format `input`.
        users : int array, optional
            Number of each element's function, broadcast against `codes`; by default 0.

        Raises
        ------
        UsageError
            If they are not integers, or out of range.
        """
        codes = self.input.check(codes)
        chosen = Format(False, self.user_bits, 0).check(np.asarray(0 if users is None else users))
        chosen = np.broadcast_to(np.minimum(chosen, len(self.functions) - 1), codes.shape)
        result = np.zeros(codes.shape, dtype=np.int64)
        for number, table in enumerate(self.functions):
            at = chosen == number
            own = table.lookup(_recoded(codes[at], self.input, table.input))
            result[at] = _recoded(own, table.output, self.output)
        return result
