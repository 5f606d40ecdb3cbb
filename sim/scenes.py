"""The standard bench as data: scenes for the C++ harness of `sim.verilator`.

What `sim.bench` drives an Amaranth unit with, and `sim.verilog` its exported Verilog, is here what
one program, compiled once, drives the Verilog with.
"""

import random
import struct
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from hw.axi import data_bytes
from nnlut_train.formats import Format
from sim.golden import Spec, WritableSpec

from .beats import flags
from .random_tables import random_tables
from .register_runs import Operation, loading
from .stimuli import Stimulus, stimuli
from .stress import random_run
from .vectors import Vectors, standard_parts, vectors_of

__all__ = [
    "RANDOM", "Scene", "encoded", "loading_scenes", "scene_of", "standard_scenes", "vector_scenes",
]  # fmt: skip

#: "Not asked for", in a scene's numbers.
NONE = 0xFFFFFFFF
#: Clocks without any progress after which a unit counts as hung: as in `sim.bench`.
HANG = 1000
#: Share of clocks in which both sides stall, of the second pass over the vectors: as in
#: `sim.cocotb_bench`.
STALL = 0.33
#: Beats of random rows, and the shares of clocks in which source and sink stall.
RANDOM_BEATS = 10_000
RANDOM = (("random rows", 0.25, 0.25), ("random rows, the sink mostly stalls", 0.1, 0.6))
#: Beats for each operation on the registers: more than leave while it is done.
BEATS_AN_OPERATION = 8
#: How often tables are loaded: of a fault in one bit of a word, a load shows it where the bit is
#: another one, and an argument's result depends on it.
LOADS = 8


@dataclass(frozen=True)
class Scene:
    """One run of the harness: the unit is reset, and the beats pass.

    Parameters
    ----------
    name : str
        What it shows.
    vectors : Vectors
        Beats in, and out.
    source_stall, sink_stall, patient, reset_after, steady
        As of `sim.stimuli.Stimulus`.
    latency : int, optional
        Clocks from the first beat that is accepted to the first that is offered, to be checked.
    flags : tuple of bool
        Overlong and holes, at the end.
    other : Vectors, optional
        The same with the tables that `operations` write.
    operations : tuple of Operation
        On the registers of a writable unit.
    hold : int, optional
        The beats from this one on are sent after the operations.
    seed : int
        Of the stalls.
    """

    name: str
    vectors: Vectors
    source_stall: float = 0.0
    sink_stall: float = 0.0
    patient: bool = False
    reset_after: int = 0
    steady: bool = False
    latency: int | None = None
    flags: tuple[bool, bool] = (False, False)
    other: Vectors | None = None
    operations: tuple[Operation, ...] = ()
    hold: int | None = None
    seed: int = 0


def scene_of(spec: Spec, run: Stimulus, seed: int = 0) -> Scene:
    """Return a stimulus as a scene."""
    return Scene(
        run.name, vectors_of(spec, [run]), run.source_stall, run.sink_stall, run.patient,
        run.reset_after, run.steady, None, flags(spec, run.rows, run.keeps), seed=seed,
    )  # fmt: skip


def _measuring(spec: Spec) -> list[Scene]:
    """Return the rows whose latency `sim.bench` measures."""
    longest, codes = spec.longest or 1, spec.input.grid()
    return [
        replace(scene_of(spec, Stimulus(f"row of {length}", [np.resize(codes, length)])),
                latency=spec.latency_of(length))
        for length in sorted({1, (longest + 1) // 2, longest})
    ]  # fmt: skip


def vector_scenes(spec: Spec, vectors: Vectors, seed: int = 0) -> list[Scene]:
    """Return a build's vectors at full rate, and with random stalls on both sides.

    One row of a row unit's is too long, and lanes are missing, so all flags must be told.
    """
    told = bool(spec.longest), bool(spec.longest) and spec.lanes > 1
    return [
        Scene("vectors at full rate", vectors, flags=told, seed=seed),
        Scene("vectors with random stalls", vectors, STALL, STALL, flags=told, seed=seed + 1),
    ]


def loading_scenes(spec: WritableSpec, seed: int = 0) -> list[Scene]:
    """Return scenes in which random tables are loaded while rows pass.

    The beats before the commit must be of the old tables, those that are sent after it was seen to
    be done of the new ones; of a row unit, no row may be of both.
    """
    scenes = []
    everything = stimuli(spec, seed)[2]
    for number in range(LOADS):
        draw = random.Random(seed + number)
        # Every second load uses all entries.
        other = spec.with_tables(random_tables(spec, draw, full=bool(number % 2)))
        operations = tuple(loading(spec, other, 20, draw, resets=number % 4 > 1))
        order: list[int] = []
        beats, hold = 0, BEATS_AN_OPERATION * len(operations)
        lengths = [spec.beats(len(row)) for row in everything.rows]
        # All rows at least once after the load.
        while beats < hold + sum(lengths):
            order += draw.sample(range(len(lengths)), len(lengths))
            beats += sum(lengths)
        rows = [everything.rows[at] for at in order]
        users = everything.users and [everything.users[at] for at in order]
        run = Stimulus("", rows, users=users)
        scenes.append(Scene(
            f"tables loaded in traffic, {number + 1}", vectors_of(spec, [run]), 0.3, 0.3,
            flags=flags(spec, rows), other=vectors_of(other, [run]), operations=operations,
            hold=hold, seed=seed + number,
        ))  # fmt: skip
    return scenes


def random_scenes(spec: Spec, seed: int = 0) -> list[Scene]:
    """Return scenes with random rows, some too long, under little and much backpressure."""
    return [
        scene_of(spec, replace(random_run(spec, RANDOM_BEATS, seed + number), name=name,
                               source_stall=source, sink_stall=sink), seed + number)
        for number, (name, source, sink) in enumerate(RANDOM)
    ]  # fmt: skip


def standard_scenes(spec: Spec, seed: int = 0) -> list[Scene]:
    """Return the standard bench of a unit: all that a build is checked by.

    The rows whose latency is measured; the runs of `sim.stimuli`, among them a reset in mid-row;
    the vectors of `sim.vectors`, at full rate and with random stalls; of a row unit, random rows;
    and of a writable unit, other tables loaded in traffic. In each, all beats, the flags and the
    stream rules are checked.
    """
    runs = [scene_of(spec, run, seed + number) for number, run in enumerate(stimuli(spec, seed))]
    vectors = vectors_of(spec, standard_parts(spec, seed))
    scenes = [*_measuring(spec), *runs, *vector_scenes(spec, vectors, seed)]
    if spec.longest:
        scenes += random_scenes(spec, seed)
    return scenes + (loading_scenes(spec, seed) if isinstance(spec, WritableSpec) else [])


def _codes(
    codes: np.ndarray, form: Format, keep: np.ndarray | None, empty: int
) -> list[np.ndarray]:
    """Return the bytes of tdata, and of tkeep; lanes without an element have the code `empty`."""
    step = data_bytes(form)
    codes = codes.reshape(len(codes), -1)
    if keep is not None:
        codes = np.where(keep, codes, empty)
    data = codes.astype("<i8").view(np.uint8).reshape(*codes.shape, 8)[:, :, :step]
    parts = [data.reshape(len(codes), -1)]
    if keep is not None:
        bits = np.repeat(keep, step, axis=1)
        parts.append(np.packbits(bits, axis=1, bitorder="little"))
    return parts


def _out(spec: Spec, vectors: Vectors) -> bytes:
    parts = _codes(vectors.output, spec.output, vectors.output_keep, 0)
    return np.hstack([*parts, vectors.output_last[:, None].astype(np.uint8)]).tobytes()


def _in(spec: Spec, vectors: Vectors) -> bytes:
    user = np.zeros(len(vectors.input)) if vectors.input_user is None else vectors.input_user
    return np.hstack([
        # As in `sim.bench`: what is in a lane without an element must not matter.
        *_codes(vectors.input, spec.input, vectors.input_keep, spec.input.max),
        user.astype("<u4")[:, None].view(np.uint8),
        vectors.input_last[:, None].astype(np.uint8),
    ]).tobytes()  # fmt: skip


def _share(probability: float) -> int:
    return round(65536 * probability)


def _number(value: int | None) -> int:
    return NONE if value is None else value


def _encoded(spec: Spec, scene: Scene) -> bytes:
    beats = len(scene.vectors.output)
    # The beats after the first, which is offered in the first of these clocks.
    clocks = (beats - 1) * spec.interval + 1 if scene.steady else None
    header = struct.pack(
        "<18I", _share(scene.source_stall), _share(scene.sink_stall), scene.patient,
        scene.reset_after, scene.steady and spec.interval == 1, _number(scene.latency),
        _number(clocks), scene.flags[0] + 2 * scene.flags[1], spec.settling,
        HANG + 4 * spec.longest, 8 + spec.latency_of(spec.longest or 1), bool(spec.longest),
        scene.seed % 2**32, len(scene.vectors.input), beats, len(scene.operations),
        scene.other is not None, _number(scene.hold),
    )  # fmt: skip
    others = b"" if scene.other is None else _out(spec, scene.other)
    operations = b"".join(struct.pack("<6I", *astuple(each)) for each in scene.operations)
    return header + _in(spec, scene.vectors) + _out(spec, scene.vectors) + others + operations


def encoded(spec: Spec, scenes: Sequence[Scene] | Iterable[Scene]) -> bytes:
    """Return scenes as ``harness.cpp`` reads them: numbers of 32 bits, the low byte first."""
    parts = [_encoded(spec, scene) for scene in scenes]
    return struct.pack("<I", len(parts)) + b"".join(parts)
