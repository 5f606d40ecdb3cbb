"""What the benches feed to the units: rows of input codes, and the results they must give."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sim.golden import SoftmaxSpec, Spec

__all__ = ["Row", "Stimulus", "back_to_back", "corner_rows", "random_rows", "stimuli"]

Row = np.ndarray


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
    """

    name: str
    rows: list[Row]
    source_stall: float = 0.0
    sink_stall: float = 0.0
    patient: bool = False
    reset_after: int = 0
    steady: bool = False


def random_rows(spec: SoftmaxSpec, count: int, rng: np.random.Generator) -> Iterator[Row]:
    """Yield random rows of all lengths and spreads."""
    low, high = spec.input.min, spec.input.max
    for _ in range(count):
        length = int(rng.integers(1, spec.length, endpoint=True))
        spread = high * 2.0 ** rng.uniform(-6, 1)
        centre = rng.uniform(low, high)
        yield spec.input.saturate(np.rint(rng.normal(centre, spread, length)).astype(np.int64))


def corner_rows(spec: SoftmaxSpec) -> Iterator[Row]:
    """Yield the rows that strain a softmax most, in rows of the maximum length and of length 1.

    All equal, one-hot, all minimum, one maximum among elements at each other code, length 1.
    """
    low, high, length = spec.input.min, spec.input.max, spec.length
    for code in (low, -1, 0, high):
        yield np.array([code])
        yield np.full(length, code)
    for code in range(low, high + 1):
        row = np.full(length, code)
        row[code % length] = high
        yield row


def _chunks(codes: np.ndarray, rng: np.random.Generator) -> list[Row]:
    """Cut a stream of codes into rows of random lengths."""
    cuts = np.flatnonzero(rng.random(len(codes)) < 1 / 16)
    return [row for row in np.split(codes, cuts) if len(row)]


def back_to_back(spec: Spec) -> list[Row]:
    """Return rows of the maximum length for the throughput: as many as are in work at a time."""
    codes = spec.input.codes()
    length = spec.length if isinstance(spec, SoftmaxSpec) else 64
    return [np.resize(np.roll(codes, 7 * shift), length) for shift in range(5)]


def stimuli(spec: Spec, seed: int = 0) -> list[Stimulus]:
    """Return the standard runs for `spec`, the same for the same seed."""
    rng = np.random.default_rng(seed)
    if isinstance(spec, SoftmaxSpec):

        def rows(count: int) -> list[Row]:
            return list(random_rows(spec, count, rng))

        corners = list(corner_rows(spec))
        step = max(1, len(corners) // 12)
        everything = rows(24) + corners[:8] + corners[8::step]
    else:
        codes = rng.permutation(spec.input.codes())

        def rows(count: int) -> list[Row]:
            return _chunks(rng.choice(codes, 32 * count), rng)

        everything = _chunks(codes, rng)
    one = [row[:1] for row in rows(48)]
    few = rows(6)
    # Reset while the first of several rows leaves: every pass is then at work in mid-row.
    size = max(1, spec.length // 2) if isinstance(spec, SoftmaxSpec) else 16
    reset_after = spec.latency_of(size) + size // 2 + 1
    full = [
        np.resize(np.roll(spec.input.codes(), 5 * i), size) for i in range(reset_after // size + 2)
    ]
    return [
        Stimulus("back-to-back rows of the maximum length", back_to_back(spec), steady=True),
        Stimulus("back-to-back rows of length 1", one, steady=True),
        Stimulus("all rows at full rate", everything),
        Stimulus("random stalls of the source", few, source_stall=0.5),
        Stimulus("random stalls of the sink", few, sink_stall=0.5),
        Stimulus("random stalls on both sides", rows(6), source_stall=0.3, sink_stall=0.3),
        Stimulus("sink waits for valid", rows(2), patient=True),
        Stimulus("reset in mid-row", full, reset_after=reset_after),
    ]
