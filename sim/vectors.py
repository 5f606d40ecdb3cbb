"""Test vectors: the beats that go in and the beats that must come out."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnlut_train.errors import UsageError
from sim.golden import SoftmaxSpec, Spec

from .bench import expected
from .stimuli import Row, back_to_back, stimuli

__all__ = ["Vectors", "load_vectors", "make_vectors"]


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
    rows = [*back_to_back(spec)[:2], *(row for run in stimuli(spec, seed)[1:3] for row in run.rows)]
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
    try:
        with np.load(path, allow_pickle=False) as archive:
            data: dict[str, Any] = {name: archive[name] for name in archive.files}
        vectors = Vectors(**data)
        shapes = {array.shape for array in data.values()}
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise UsageError(f"{path}: must be test vectors of hw.build: {error}") from error
    if len(shapes) != 1 or not vectors.input_last[-1:].any():
        raise UsageError(f"{path}: must be test vectors of hw.build: arrays differ in shape")
    return vectors
