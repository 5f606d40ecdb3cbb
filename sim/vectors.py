"""Test vectors: the beats that go in and the beats that must come out."""

import io
from dataclasses import dataclass, fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from nnlut_train.errors import UsageError
from sim.golden import SoftmaxSpec, Spec

from .bench import expected
from .stimuli import Row, back_to_back, stimuli

__all__ = ["Vectors", "load_vectors", "make_vectors"]


#: Of all codes of a wide unary unit, so many become vectors, more or less; the bench has them all.
BEATS_MAX = 8192


@dataclass(frozen=True)
class Vectors:
    """Beats in and beats out.

    Parameters
    ----------
    input, output : int64 array
        Codes, a beat each; as many out as in.
    input_last, output_last : bool array
        Whether the beat ends a row.
    """

    input: np.ndarray
    input_last: np.ndarray
    output: np.ndarray
    output_last: np.ndarray

    def rows(self) -> list[Row]:
        """Return the input as rows."""
        return np.split(self.input, np.flatnonzero(self.input_last)[:-1] + 1)

    def files(self, widths: tuple[int, int]) -> dict[str, bytes]:
        """Return the files: ``input.hex`` and ``output.hex`` for ``$readmemh``, and an .npz.

        A line of a .hex file is one beat: tdata of the given widths (in bits) in the low bits,
        tlast in the bit above.
        """
        archive = io.BytesIO()
        np.savez(
            archive, input=self.input, input_last=self.input_last, output=self.output,
            output_last=self.output_last,
        )  # fmt: skip
        return {
            "input.hex": _hex(self.input, self.input_last, widths[0]),
            "output.hex": _hex(self.output, self.output_last, widths[1]),
            "vectors.npz": archive.getvalue(),
        }


def _hex(codes: np.ndarray, last: np.ndarray, width: int) -> bytes:
    words = (codes & ((1 << width) - 1)) | (last.astype(np.int64) << width)
    digits = (width + 4) // 4
    # The final newline matters: some simulators drop a last line without one.
    return "".join(f"{word:0{digits}x}\n" for word in words.tolist()).encode()


def make_vectors(spec: Spec, seed: int = 0) -> Vectors:
    """Return the vectors of the standard stimuli: maximum rows, single beats, all rows."""
    ones, everything = (run.rows for run in stimuli(spec, seed)[1:3])
    beats = np.cumsum([len(row) for row in everything])
    rows = [*back_to_back(spec)[:2], *ones, *everything[: int((beats <= BEATS_MAX).sum()) or 1]]
    if isinstance(spec, SoftmaxSpec):
        # One row that is too long: it must come out as two.
        rows.insert(1, np.resize(spec.input.codes(), spec.length + 1))
    codes = np.concatenate(rows)
    last = np.zeros(len(codes), dtype=bool)
    last[np.cumsum([len(row) for row in rows]) - 1] = True
    results = expected(spec, rows)
    return Vectors(
        codes, last, np.array([code for code, _ in results], dtype=np.int64),
        np.array([end for _, end in results]),
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

    names = [field.name for field in fields(Vectors)]
    try:
        # Opened here: NumPy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            data = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, TypeError, EOFError, BadZipFile, AttributeError) as error:
        raise wrong(error) from error
    if sorted(data) != sorted(names):
        raise wrong(f"it has {', '.join(sorted(data)) or 'nothing'}")
    for name in names:
        array, kind = data[name], "b" if name.endswith("_last") else "i"
        if array.ndim != 1 or array.dtype.kind != kind:
            raise wrong(f"{name} is {array.ndim}-dimensional, of type {array.dtype}")
        if len(array) != len(data["input"]):
            raise wrong(f"{name} has {len(array)} beats, not {len(data['input'])}")
        if kind == "b" and not array[-1:].any():
            raise wrong(f"{name} does not end with a row's end")
    return Vectors(**data)
