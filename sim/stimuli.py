"""What the benches feed to the units: rows of input codes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.golden import Spec

from .beats import Row
from .sampling import sample_codes

__all__ = ["Row", "Stimulus", "back_to_back", "companions", "corner_rows", "random_rows", "stimuli"]

#: One row of a row unit's corners has one maximum among elements at a code: for so many codes.
CORNER_CODES_MAX = 4096


#: Widest input of a unary unit that gets every code; a wider one gets those of `sample_codes`.
EVERY_CODE_BITS = 12
#: How many random codes are among them.
RANDOM_CODES = 4096


@dataclass(frozen=True)
class Stimulus:
    """One run of a bench.

    Parameters
    ----------
    name : str
        What it shows.
    rows : list of int64 array
        Input codes.
    source_stall, sink_stall : float
        Probability that the source has no beat, or the sink is not ready, in a clock.
    patient : bool
        The sink is not ready until the unit has offered a beat: valid must not wait for ready.
    reset_after : int
        Reset the unit after so many accepted beats, in the middle of a row, and start over.
    steady : bool
        Nothing stalls, and the rows are of one length: the unit must take a beat in every clock,
        and give one.
    users : list of int64 array, optional
        What each element carries beside its code: see `sim.beats.input_beats`.
    keeps : list of bool array, optional
        With several lanes: which slots of the rows have an element; by default all.
    """

    name: str
    rows: list[Row]
    source_stall: float = 0.0
    sink_stall: float = 0.0
    patient: bool = False
    reset_after: int = 0
    steady: bool = False
    users: list[Row] | None = None
    keeps: list[Row] | None = None


def random_rows(spec: Spec, count: int, rng: np.random.Generator) -> Iterator[Row]:
    """Yield random rows of all lengths and spreads for a row unit.

    Parameters
    ----------
    spec : Spec
        The unit.
    count : int
        How many rows.
    rng : numpy.random.Generator
        Where they come from: normal, centre and spread drawn anew for each row; saturated.

    Yields
    ------
    int64 array, shape (n,)
        Input codes; n is 1 to ``spec.longest``.
    """
    low, high = spec.input.min, spec.input.max
    for _ in range(count):
        length = int(rng.integers(1, spec.longest, endpoint=True))
        spread = high * 2.0 ** rng.uniform(-6, 1)
        centre = rng.uniform(low, high)
        yield spec.input.saturate(np.rint(rng.normal(centre, spread, length)).astype(np.int64))


def corner_rows(spec: Spec) -> Iterator[Row]:
    """Yield the rows that strain a row unit most, in rows of the maximum length and of length 1.

    All equal, one-hot, all minimum, length 1; alternating extremes; one outlier of full scale among
    small ones; every remainder of length and lanes; and, among elements at one code, one maximum:
    at each code, or at `CORNER_CODES_MAX` of them.
    """
    low, high, length = spec.input.min, spec.input.max, spec.longest
    for code in (low, -1, 0, high):
        yield np.array([code])
        yield np.full(length, code)
    yield np.resize([low, high], length)
    for outlier in (low, high):
        row = np.resize([0, 1, -1], length)
        row[length // 2] = outlier
        yield row
    for remainder in range(1, spec.lanes):
        yield np.resize([high, low, 1], min(length, spec.lanes + remainder))
    for code in range(low, high + 1, max(1, (high - low + 1) // CORNER_CODES_MAX)):
        row = np.full(length, code)
        row[code % length] = high
        yield row


def _chunks(codes: np.ndarray, rng: np.random.Generator) -> list[Row]:
    """Cut a stream of codes into rows of random lengths."""
    cuts = np.flatnonzero(rng.random(len(codes)) < 1 / 16)
    return [row for row in np.split(codes, cuts) if len(row)]


def back_to_back(spec: Spec) -> list[Row]:
    """Return rows of the maximum length for the throughput: as many as are in work at a time."""
    codes = spec.input.grid()
    length = spec.longest or 64
    return [np.resize(np.roll(codes, 7 * shift), length) for shift in range(5)]


def companions(spec: Spec, rows: list[Row], rng: np.random.Generator) -> list[Row] | None:
    """Return what the rows' elements carry beside their codes: ``tuser``.

    Parameters
    ----------
    spec : Spec
        The unit.
    rows : list of int64 array, shape (n,) each
        Rows of input codes, of any lengths.
    rng : numpy.random.Generator
        Where it comes from.

    Returns
    -------
    list of int64 array, or None
        For each row an array of its length: mask bits, of which a row has none, some or all set,
        or numbers of functions. None where the unit takes nothing.
    """
    if not spec.user_bits:
        return None
    if not spec.mask:
        return [rng.integers(0, 1 << spec.user_bits, len(row)) for row in rows]
    # From rows without masked elements to rows with no other.
    shares = rng.choice([0.0, 0.1, 0.5, 0.9, 1.0], len(rows))
    return [(rng.random(len(row)) < share).astype(np.int64)
            for row, share in zip(rows, shares, strict=True)]  # fmt: skip


def stimuli(spec: Spec, seed: int = 0) -> list[Stimulus]:
    """Return the standard runs for `spec`, the same for the same seed."""
    rng = np.random.default_rng(seed)
    if spec.longest:

        def rows(count: int) -> list[Row]:
            return list(random_rows(spec, count, rng))

        corners = list(corner_rows(spec))
        few_corners = 11 + spec.lanes - 1
        step = max(1, len(corners) // 12)
        everything = rows(24) + corners[:few_corners] + corners[few_corners::step]
    else:
        codes = spec.input.grid()
        if spec.input.bits > EVERY_CODE_BITS:
            codes = sample_codes(spec.bare, RANDOM_CODES, rng)
        codes = rng.permutation(codes)

        def rows(count: int) -> list[Row]:
            return _chunks(rng.choice(codes, 32 * count), rng)

        everything = _chunks(codes, rng)
    one = [row[:1] for row in rows(48)]
    few = rows(6)
    # Reset while the first of several rows leaves: every pass is then at work in mid-row.
    size = max(1, spec.longest // 2) if spec.longest else 16
    beats = spec.beats(size)
    reset_after = spec.latency_of(size) + beats // 2 + 1
    full = [
        np.resize(np.roll(spec.input.grid(), 5 * i), size) for i in range(reset_after // beats + 2)
    ]

    def run(name: str, rows: list[Row], **options: Any) -> Stimulus:
        return Stimulus(name, rows, users=companions(spec, rows, rng), **options)

    runs = [
        run("back-to-back rows of the maximum length", back_to_back(spec), steady=True),
        run("back-to-back rows of length 1", one, steady=True),
        run("all rows at full rate", everything),
        run("random stalls of the source", few, source_stall=0.5),
        run("random stalls of the sink", few, sink_stall=0.5),
        run("random stalls on both sides", rows(6), source_stall=0.3, sink_stall=0.3),
        run("sink waits for valid", rows(2), patient=True),
        run("reset in mid-row", full, reset_after=reset_after),
    ]
    if spec.lanes > 1:
        few = rows(12)
        keeps = [rng.random(len(row)) < rng.choice([0.0, 0.5, 0.9]) for row in few]
        runs.append(run("lanes without an element anywhere", few, keeps=keeps))
    if spec.user_bits and not spec.mask:
        users = [np.full(len(codes), user) for user in range(1 << spec.user_bits)]
        runs.append(Stimulus("every function at full rate", [codes] * len(users), users=users))
    return runs
