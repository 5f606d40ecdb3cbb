"""Realistic data for a unit's simulation, whose switching its power is for.

What is assumed of the data is measured on all-MiniLM-L6-v2 over the 1,112 sentences of STS 2014
images (``python bench/ranges.py``; median over the layers):

activations (gelu, silu, tanh, sigmoid, sin, ...)
    999 of 1000 inputs of GELU are below 5.8 in magnitude: normal, of standard deviation 1.75.
softmax
    999 of 1000 logits are below 11.2 in magnitude: rows of the unit's full length of normal
    logits, of standard deviation 3.4.
exp
    Distances of such logits from the maximum of a row of 64.
reciprocal, log
    Sums of exponentials of a row are 1 to 12: uniform in the logarithm.
rsqrt, sqrt
    Variances in front of LayerNorm are 0.16 to 0.8, half of them below 0.46: log-normal with that
    median, 0.16 being two standard deviations below it.
layernorm, rmsnorm
    The input's scale is free. 999 of 1000 inputs are below 12 standard deviations, so the format's
    largest number is taken to be that: normal, of a twelfth of it, in rows of full length.

Samples are independent of each other, saturated to the unit's input format; lanes are full,
nothing is masked, and of a unit with several functions each is as frequent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.float_table import FloatTable
from nnlut_train.floats import FLOATS
from nnlut_train.formats import Format
from nnlut_train.reading import read_arrays
from sim.golden import SharedSpec, Spec
from sim.stimuli import Stimulus
from sim.vectors import Vectors, vectors_of

from .cache import digest

__all__ = ["BEATS", "Stimuli", "realistic", "user_stimuli"]

#: Beats that are simulated, at least; of row units whole rows.
BEATS = 2048
#: Logits in a row of which exp sees the distances.
ROW = 64
ACTIVATION, LOGIT, NORM = 1.75, 3.4, 12.0
SUMS, VARIANCE, SPREAD = (1.0, 12.0), 0.46, 0.53

Draw = Callable[[np.random.Generator, int, Format], np.ndarray]


@dataclass(frozen=True)
class Stimuli:
    """Data for a unit, with what it must give.

    Parameters
    ----------
    source : str
        What the data is.
    vectors : Vectors
        Beats in and out.
    user_bits : int
        Bits of ``tuser``.
    """

    source: str
    vectors: Vectors
    user_bits: int

    def digest(self) -> str:
        """Return a SHA-256 of it all."""
        arrays = b"".join(
            name.encode() + str(array.dtype).encode() + str(array.shape).encode() + array.tobytes()
            for name, array in self.vectors.arrays().items()
        )
        return digest(f"{self.source} {self.user_bits} ".encode() + arrays)


def _activation(rng: np.random.Generator, count: int, form: Format) -> np.ndarray:
    return rng.normal(0.0, ACTIVATION, count)


def _distance(rng: np.random.Generator, count: int, form: Format) -> np.ndarray:
    logits = rng.normal(0.0, LOGIT, (-(-count // ROW), ROW))
    distance = (logits - logits.max(axis=1, keepdims=True)).ravel()[:count]
    # An unsigned input is the distance below the maximum.
    return distance if form.signed else -distance


def _sums(rng: np.random.Generator, count: int, form: Format) -> np.ndarray:
    return np.exp(rng.uniform(*np.log(SUMS), count))


def _variance(rng: np.random.Generator, count: int, form: Format) -> np.ndarray:
    return VARIANCE * np.exp(rng.normal(0.0, SPREAD, count))


def _logits(rng: np.random.Generator, count: int, form: Format) -> np.ndarray:
    return rng.normal(0.0, LOGIT, count)


def _norm(rng: np.random.Generator, count: int, form: Format) -> np.ndarray:
    return rng.normal(0.0, form.max * form.scale / NORM, count)


_SOFTMAX = (_logits, f"normal logits, standard deviation {LOGIT}")
_NORMAL = (_activation, f"normal inputs, standard deviation {ACTIVATION}")
_EXP = (_distance, f"logit - maximum of rows of {ROW} normal logits, standard deviation {LOGIT}")
_SUM = (_sums, f"sums of exponentials, {SUMS[0]:g} to {SUMS[1]:g}, uniform in the logarithm")
_VAR = (_variance, f"variances, log-normal, median {VARIANCE}")
_KINDS: dict[str, tuple[Draw, str]] = {
    **dict.fromkeys(("softmax", "rexp", "lut2d", "base2", "kulisch", "ibert_softmax"), _SOFTMAX),
    **dict.fromkeys(("norm", "ibert_norm"), (_norm, f"normal inputs, range {NORM:g} deviations")),
    "exp": _EXP, "iexp": _EXP, "isqrt": _VAR, "log": _SUM,
}  # fmt: skip
# By the function of a unit's only table, as its `meta` names it.
_FUNCTIONS: dict[str, tuple[Draw, str]] = {
    "exp": _EXP, "reciprocal": _SUM, "1/m": _SUM, "log": _SUM, "ln(m)": _SUM, "rsqrt": _VAR,
    "1/sqrt(m)": _VAR, "sqrt": _VAR, "sqrt(m)": _VAR,
}  # fmt: skip


def _of(spec: Spec) -> tuple[Draw, str]:
    bare = spec.bare
    if bare.kind in _KINDS:
        return _KINDS[bare.kind]
    names = [str(table.meta.get("function", "")) for _, table in bare.tables()]
    return _FUNCTIONS.get(names[0], _NORMAL) if names else _NORMAL


def _codes(spec: Spec, values: np.ndarray) -> np.ndarray:
    table = getattr(spec.bare, "table", None)
    if isinstance(table, FloatTable):
        form = next(form for form in FLOATS.values() if form.codes == table.input)
        return form.pattern(values).astype(np.int64)
    return spec.input.quantize(values)


def realistic(spec: Spec, *, beats: int = BEATS, seed: int = 0) -> Stimuli:
    """Return data of MiniLM's distributions for a unit, the same for the same seed.

    Parameters
    ----------
    spec : Spec
        The unit.
    beats : int
        How many, at least.
    seed : int
        Seed of the samples.
    """
    rng = np.random.default_rng(seed)
    length = spec.longest or ROW * spec.lanes
    count = -(-beats // spec.beats(length)) * length
    users = [np.zeros(length, dtype=np.int64)] * (count // length) if spec.user_bits else None
    if isinstance(spec.bare, SharedSpec):
        choice = rng.integers(0, len(spec.bare.functions), count)
        # All lanes of a beat follow the first one's choice.
        choice = np.repeat(choice[:: spec.lanes], spec.lanes)[:count]
        codes = np.zeros(count, dtype=np.int64)
        for number, table in enumerate(spec.bare.functions):
            draw, _ = _FUNCTIONS.get(str(table.meta.get("function")), _NORMAL)
            mine = choice == number
            found = table.input.quantize(draw(rng, int(mine.sum()), table.input))
            codes[mine] = found & ((1 << table.input.bits) - 1)
        users, text = np.split(choice, range(length, count, length)), "each function in turn"
    else:
        draw, text = _of(spec)
        codes = _codes(spec, draw(rng, count, spec.input))
    rows = np.split(codes, range(length, count, length))
    vectors = vectors_of(spec, [Stimulus("realistic", rows, users=users)])
    return Stimuli(f"MiniLM-like data ({text})", vectors, spec.user_bits)


def user_stimuli(spec: Spec, path: Path) -> Stimuli:
    """Return the codes of a file of the user's as data.

    Parameters
    ----------
    spec : Spec
        The unit.
    path : Path
        ``.npy`` with integer codes of the unit's input format: shape (codes,), or (rows, codes).

    Raises
    ------
    UsageError
        The file cannot be read, or holds something else.
    """

    def wrong(why: object) -> UsageError:
        return UsageError(f"--vectors must be a .npy file of integer codes, not {path}: {why}")

    try:
        array = read_arrays(path)
    except OSError as error:
        raise wrong(error.strerror or error) from error
    except ValueError as error:
        raise wrong(error) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu":
        raise wrong("it is no array of integers")
    if array.ndim not in (1, 2) or array.size == 0:
        raise wrong(f"its shape is {array.shape}")
    if array.min() < spec.input.min or array.max() > spec.input.max:
        raise wrong(f"codes must be of {spec.input}, {spec.input.min} to {spec.input.max}")
    codes = array.astype(np.int64)
    if codes.ndim == 2:
        rows = list(codes)
    else:
        length = spec.longest or ROW * spec.lanes
        rows = np.split(codes, range(length, codes.size, length))
    if spec.longest and len(rows[0]) > spec.longest:
        raise wrong(f"a row must have at most {spec.longest} codes, not {len(rows[0])}")
    users = [np.zeros(len(row), dtype=np.int64) for row in rows] if spec.user_bits else None
    vectors = vectors_of(spec, [Stimulus("user's", rows, users=users)])
    return Stimuli(f"codes of {path.name}", vectors, spec.user_bits)
