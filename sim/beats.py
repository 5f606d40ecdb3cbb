"""Rows as beats: what enters a unit, and what must leave it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.golden import Spec

__all__ = ["Beat", "Clock", "Row", "expected", "flags", "input_beats"]

Row = np.ndarray


@dataclass(frozen=True)
class Beat:
    """One beat of a stream.

    Parameters
    ----------
    codes : tuple of int
        One a lane; None where the lane has no element.
    last : bool
        Whether it ends a row.
    user : int
        What it carries beside its codes.
    """

    codes: tuple[int | None, ...]
    last: bool
    user: int = 0

    def __str__(self) -> str:
        codes = ", ".join("-" if code is None else str(code) for code in self.codes)
        return f"[{codes}]{' last' * self.last}"

    @property
    def keep(self) -> int:
        """A bit a lane: 1 where there is an element."""
        return sum((code is not None) << lane for lane, code in enumerate(self.codes))


@dataclass(frozen=True)
class Clock:
    """Both streams of a unit in one clock of a simulation.

    Parameters
    ----------
    i_valid, i_ready, o_valid, o_ready : bool
        The handshakes, before the clock's edge.
    i_beat, o_beat : Beat or None
        What is offered; None where nothing is.
    """

    i_valid: bool
    i_ready: bool
    i_beat: Beat | None
    o_valid: bool
    o_ready: bool
    o_beat: Beat | None


def _slots(spec: Spec, row: Row, keep: Row | None) -> np.ndarray:
    """Return which slots of a row have an element: bool, shape (beats, lanes)."""
    there = np.zeros(spec.beats(len(row)) * spec.lanes, dtype=bool)
    there[: len(row)] = True if keep is None else keep
    return there.reshape(-1, spec.lanes)


def _beats(spec: Spec, codes: np.ndarray, there: np.ndarray, users: Sequence[int]) -> list[Beat]:
    padded = np.zeros(there.size, dtype=np.int64)
    padded[: len(codes)] = codes
    return [
        Beat(tuple(code if here else None for code, here in zip(lane, kept, strict=True)),
             number == len(there) - 1, user)
        for number, (lane, kept, user) in enumerate(
            zip(padded.reshape(there.shape).tolist(), there.tolist(), users, strict=True)
        )
    ]  # fmt: skip


def input_beats(
    spec: Spec, rows: Sequence[Row], users: Sequence[Row] | None = None,
    keeps: Sequence[Row] | None = None,
) -> list[Beat]:  # fmt: skip
    """Return rows as the beats that enter.

    Parameters
    ----------
    spec : Spec
        The unit.
    rows : sequence of int64 array
        Codes; with `keeps`, of every slot of a row.
    users : sequence of int64 array, optional
        What each element carries beside its code: of a unit with masks its mask bit, of other units
        the function's number, of which the beat's first counts.
    keeps : sequence of bool array, optional
        Which slots have an element; by default, all of a row have.
    """
    beats: list[Beat] = []
    for number, row in enumerate(rows):
        there = _slots(spec, row, None if keeps is None else keeps[number])
        packed = np.zeros(len(there), dtype=np.int64)
        if users is not None:
            lanes = np.zeros(there.size, dtype=np.int64)
            lanes[: len(row)] = users[number]
            lanes = lanes.reshape(there.shape)
            packed = (lanes << np.arange(spec.lanes)).sum(axis=1) if spec.mask else lanes[:, 0]
        beats += _beats(spec, row, there, packed.tolist())
    return beats


def expected(
    spec: Spec, rows: Sequence[Row], users: Sequence[Row] | None = None,
    keeps: Sequence[Row] | None = None,
) -> list[Beat]:  # fmt: skip
    """Return the beats that `rows` must give, by the golden model; see `input_beats`.

    A row that is longer than a row unit allows is cut there, as the unit documents.
    """
    results: list[Beat] = []
    for number, row in enumerate(rows):
        size = spec.longest or len(row)
        for start in range(0, len(row), size):
            part = slice(start, start + size)
            there = _slots(spec, row[part], None if keeps is None else keeps[number][part])
            user = None if users is None else users[number][part]
            codes = _compute(spec, row[part], user, there.ravel()[: len(row[part])])
            results += _beats(spec, codes, there, [0] * len(there))
    return results


def _compute(spec: Spec, row: Row, user: Row | None, there: np.ndarray) -> np.ndarray:
    if spec.longest:
        return spec.compute(row, ~there if user is None else user.astype(bool) | ~there)
    if user is None:
        return spec.compute(row)
    # All lanes of a beat follow the first one's choice.
    return spec.compute(row, np.repeat(user[:: spec.lanes], spec.lanes)[: len(row)])


def flags(spec: Spec, rows: Sequence[Row], keeps: Sequence[Row] | None = None) -> tuple[bool, bool]:
    """Return what a row unit must tell of `rows`: overlong, holes; see `input_beats`.

    Of a unary unit, and of one lane the second, they are false: there is no such port.
    """
    if not spec.longest:
        return False, False
    overlong = any(len(row) > spec.longest for row in rows)
    if keeps is None:
        return overlong, False
    kept = [beat.keep for beat in input_beats(spec, rows, None, keeps)]
    ends = [beat.last for beat in input_beats(spec, rows)]
    full = (1 << spec.lanes) - 1
    holes = any(keep & (keep + 1) or (keep != full and not end)
                for keep, end in zip(kept, ends, strict=True))  # fmt: skip
    return overlong, holes
