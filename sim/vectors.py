"""Test vectors: the beats that go in and the beats that must come out."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.reading import read_arrays
from sim.golden import SoftmaxRowSpec, Spec

from .beats import Beat, Row, expected, input_beats
from .stimuli import EVERY_CODE_BITS, Stimulus, stimuli

__all__ = ["Vectors", "hex_fields", "load_vectors", "make_vectors", "standard_parts",
           "vectors_of"]  # fmt: skip


#: Of the rows that the bench runs at full rate, so many beats become vectors, more or less.
BEATS_MAX = 8192


@dataclass(frozen=True)
class Vectors:
    """Beats in and beats out.

    Parameters
    ----------
    input, output : int64 array, shape (beats,), or (beats, lanes) of several lanes
        Codes; as many beats out as in.
    input_last, output_last : bool array, shape (beats,)
        Whether the beat ends a row.
    input_keep, output_keep : bool array, shape (beats, lanes), optional
        Of several lanes: whether the lane has an element.
    input_user : int64 array, shape (beats,), optional
        ``tuser``, where the unit takes any.
    """

    input: np.ndarray
    input_last: np.ndarray
    output: np.ndarray
    output_last: np.ndarray
    input_keep: np.ndarray | None = None
    output_keep: np.ndarray | None = None
    input_user: np.ndarray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that there are, by their names."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def rows(self) -> list[Row]:
        """Return the input as rows."""
        return np.split(self.input, np.flatnonzero(self.input_last)[:-1] + 1)

    def files(self, widths: tuple[int, int], user_bits: int = 0) -> dict[str, bytes]:
        """Return the files: ``input.hex`` and ``output.hex`` for ``$readmemh``, and an .npz.

        A line of a .hex file is one beat, in the fields of `hex_fields`; `widths` are those of
        tdata, in and out, in bits.
        """
        archive = io.BytesIO()
        np.savez(archive, **self.arrays())
        return {
            "input.hex": _hex(self.input, self.input_keep, self.input_user, self.input_last,
                              widths[0], user_bits),
            "output.hex": _hex(self.output, self.output_keep, None, self.output_last, widths[1], 0),
            "vectors.npz": archive.getvalue(),
        }  # fmt: skip


def hex_fields(width: int, *, keep: bool, user_bits: int) -> dict[str, list[int]]:
    """Return the bits, lowest and highest, of each field of a .hex file's lines.

    ``tdata`` of `width` bits is lowest; above are ``tkeep``, a bit a byte, ``tuser``, ``tlast``.
    """
    sizes = {"tdata": width, "tkeep": width // 8 if keep else 0, "tuser": user_bits, "tlast": 1}
    fields, low = {}, 0
    for name, size in sizes.items():
        if size:
            fields[name] = [low, low + size - 1]
        low += size
    return fields


def _hex(
    codes: np.ndarray, keep: np.ndarray | None, user: np.ndarray | None, last: np.ndarray,
    width: int, user_bits: int,
) -> bytes:  # fmt: skip
    fields = hex_fields(width, keep=keep is not None, user_bits=user_bits)
    digits = fields["tlast"][0] // 4 + 1
    lanes = codes.reshape(len(codes), -1)
    step = width // lanes.shape[1]
    words = [last << fields["tlast"][0] for last in last.tolist()]
    for lane, column in enumerate(lanes.T.tolist()):
        mask = (1 << step) - 1
        words = [word | (code & mask) << lane * step
                 for word, code in zip(words, column, strict=True)]  # fmt: skip
    if keep is not None:
        size = step // 8
        ones = ((1 << size) - 1) << fields["tkeep"][0]
        for lane, column in enumerate(keep.T.tolist()):
            words = [word | kept * (ones << lane * size)
                     for word, kept in zip(words, column, strict=True)]  # fmt: skip
    if user is not None:
        words = [word | value << fields["tuser"][0]
                 for word, value in zip(words, user.tolist(), strict=True)]  # fmt: skip
    # The final newline matters: some simulators drop a last line without one.
    return "".join(f"{word:0{digits}x}\n" for word in words).encode()


def _codes(spec: Spec, beats: Sequence[Beat]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return codes, 0 where there is no element, and which lanes have one."""
    if spec.lanes == 1:
        return np.array([beat.codes[0] for beat in beats], dtype=np.int64), None
    codes = [[0 if code is None else code for code in beat.codes] for beat in beats]
    keep = [[code is not None for code in beat.codes] for beat in beats]
    return np.array(codes, dtype=np.int64), np.array(keep)


def make_vectors(spec: Spec, seed: int = 0) -> Vectors:
    """Return the vectors of the standard stimuli: those of `standard_parts`."""
    return vectors_of(spec, standard_parts(spec, seed))


def standard_parts(spec: Spec, seed: int = 0) -> list[Stimulus]:
    """Return what becomes vectors: maximum rows, single beats, all rows.

    Of a row unit, one row is too long: it comes out as two. Of a softmax of up to 12 bits, there
    are rows with every distance from the maximum. With several lanes, the last rows lack elements
    anywhere.
    """
    runs = stimuli(spec, seed)
    back_to_back, ones, everything = runs[:3]
    rows = np.cumsum([len(row) for row in everything.rows])
    parts = [
        replace(part, rows=part.rows[:count], users=part.users and part.users[:count])
        for part, count in (
            (back_to_back, 2), (ones, None), (everything, int((rows <= BEATS_MAX).sum()) or 1)
        )
    ]  # fmt: skip
    if spec.longest:
        row = np.resize(spec.input.codes(), spec.longest + 1)
        users = [np.zeros(len(row), dtype=np.int64)] if spec.user_bits else None
        parts.insert(1, Stimulus("too long", [row], users=users))
    if isinstance(spec.bare, SoftmaxRowSpec) and spec.input.bits <= EVERY_CODE_BITS:
        parts.append(_distances(spec))
    return parts + [run for run in runs if run.keeps is not None]


def _distances(spec: Spec) -> Stimulus:
    """Return rows that begin with the largest code, and have all others between them."""
    codes = spec.input.codes()
    size = max(1, spec.longest - 1)
    rows = [np.append(codes[-1:], codes[at : at + size])[: spec.longest]
            for at in range(0, len(codes), size)]  # fmt: skip
    users = [np.zeros(len(row), dtype=np.int64) for row in rows] if spec.user_bits else None
    return Stimulus("every distance", rows, users=users)


def vectors_of(spec: Spec, runs: Sequence[Stimulus]) -> Vectors:
    """Return the rows of `runs` as vectors, one after another."""
    entering: list[Beat] = []
    leaving: list[Beat] = []
    for run in runs:
        sides = run.rows, run.users, run.keeps
        entering += input_beats(spec, *sides)
        leaving += expected(spec, *sides)
    codes, keep = _codes(spec, entering)
    results, results_keep = _codes(spec, leaving)
    return Vectors(
        codes, np.array([beat.last for beat in entering]),
        results, np.array([beat.last for beat in leaving]), keep, results_keep,
        np.array([beat.user for beat in entering]) if spec.user_bits else None,
    )  # fmt: skip


def load_vectors(path: Path) -> Vectors:
    """Read ``vectors.npz``.

    Raises
    ------
    UsageError
        If the file cannot be read, or does not hold vectors.
    """

    def wrong(why: object) -> UsageError:
        return UsageError(f"{path}: must be test vectors of hw.build: {why}")

    # The last three are there only where the unit has them.
    names = [field.name for field in fields(Vectors)]
    try:
        data = read_arrays(path)
    except (OSError, ValueError) as error:
        raise wrong(error) from error
    if not isinstance(data, dict):
        raise wrong("it is one array, not an .npz of several")
    if not set(names[:4]) <= set(data) <= set(names):
        raise wrong(f"it has {', '.join(sorted(data)) or 'nothing'}")
    lanes = data["input"].ndim > 1
    if lanes != ("input_keep" in data) or lanes != ("output_keep" in data):
        raise wrong("input_keep and output_keep must be there with several lanes, and only then")
    for name, array in data.items():
        kind = "b" if name.endswith(("_last", "_keep")) else "i"
        wanted = 1 if name.endswith(("_last", "_user")) or not lanes else 2
        if array.ndim != wanted or array.dtype.kind != kind:
            raise wrong(f"{name} is {array.ndim}-dimensional, of type {array.dtype}")
        if array.shape != data["input"].shape[:wanted]:
            raise wrong(
                f"{name} has {len(array)} beats, not {len(data['input'])}"
                if len(array) != len(data["input"]) else f"{name} has {array.shape[1]} lanes"
            )  # fmt: skip
        if name.endswith("_last") and not array[-1:].any():
            raise wrong(f"{name} does not end with a row's end")
    return Vectors(**data)
