"""A search for the row with the largest error: what a proved bound is held against.

Starts are random rows, the corner rows of the benches, and rows of a few runs of equal codes, which
the proofs have at the corners of their polygons. The worst of them are then changed at random, and
the worst of all are kept: a genetic search without crossing. It is the same for the same seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .accuracy.norm import norm_corner_rows, norm_random_rows
from .golden import NormRowSpec, RowSpec, SoftmaxRowSpec
from .stimuli import corner_rows, random_rows

__all__ = ["Worst", "row_errors", "worst_row"]

#: Rows that are kept, changed copies of each, and rows that are computed at once.
KEPT, COPIES, AT_ONCE = 24, 12, 1 << 17
#: Rows of each kind that the search begins with.
STARTS = 2000


@dataclass(frozen=True)
class Worst:
    """The row with the largest error that was found.

    Parameters
    ----------
    ulp : float
        Its largest error, in ulp of the output.
    row : int64 array, shape (n,)
        Its codes.
    rows : int
        How many rows were tried.
    """

    ulp: float
    row: np.ndarray
    rows: int


def _norm_reference(spec: NormRowSpec, codes: np.ndarray, here: np.ndarray) -> np.ndarray:
    """Return the exact results of rows with elements only where they are `here`, not limited."""
    q, n = np.where(here, codes, 0), here.sum(axis=-1, keepdims=True)
    total = q.sum(axis=-1, keepdims=True) * spec.centred
    numerator = n * q - total
    variance = n * (q**2).sum(axis=-1, keepdims=True) - total**2
    root = np.sqrt(variance + n * n * (spec.eps / 2.0**spec.eps_frac))
    # Where the root is 0, all numerators but those of missing elements are.
    result = numerator / np.where(root == 0, 1.0, root)
    for table, join in ((spec.gamma, np.multiply), (spec.beta, np.add)):
        if table is not None:
            result = join(result, table.output.real(table.values)[: codes.shape[-1]])
    return result


def row_errors(spec: RowSpec, codes: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the largest error of each row, float64, shape (m,), in ulp of the output.

    Parameters
    ----------
    spec : RowSpec
        The unit.
    codes : int64 array, shape (m, n)
        Rows of input codes.
    mask : bool array, same shape
        True for elements that are not there, or masked: their result is to be 0.
    """
    result = spec.compute(codes, mask)
    if isinstance(spec, SoftmaxRowSpec):
        # What is masked gets no share: the distance from any other logit is as good as infinite.
        x = np.where(mask, -np.inf, spec.input.real(codes))
        e = np.exp(x - np.where(mask.all(-1, keepdims=True), 0.0, x.max(-1, keepdims=True)))
        share = e / np.maximum(e.sum(axis=-1, keepdims=True), np.finfo(float).tiny)
        exact = np.minimum(share * spec.one, spec.output.max)
    else:
        assert isinstance(spec, NormRowSpec)
        exact = spec.output.clip(_norm_reference(spec, codes, ~mask)) / spec.output.scale
    return np.abs(result - np.where(mask, 0.0, exact)).max(axis=-1)


def _runs(spec: RowSpec, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield rows of up to four runs of equal codes; one in two has a run of one element."""
    low, high = spec.input.min, spec.input.max
    for _ in range(STARTS):
        length = spec.length if rng.random() < 0.5 else int(rng.integers(1, spec.length + 1))
        cuts = np.sort(rng.integers(0, length + 1, 3))
        if rng.random() < 0.5:
            cuts[:2] = (min(1, length), min(2, length))
        reach = 2.0 ** rng.uniform(0, spec.input.bits)
        codes = rng.integers(low, high + 1) + rng.uniform(-reach, reach, 4)
        codes = np.clip(np.rint(codes), low, high).astype(np.int64)
        yield codes[np.searchsorted(cuts, np.arange(length), side="right")]


def _starts(spec: RowSpec, rng: np.random.Generator) -> Iterator[np.ndarray]:
    if isinstance(spec, NormRowSpec):
        for group in norm_random_rows(spec, STARTS, rng):
            yield from group
        yield from norm_corner_rows(spec)
    else:
        yield from random_rows(spec, STARTS, rng)
        yield from corner_rows(spec)
    yield from _runs(spec, rng)


def _change(spec: RowSpec, codes: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> None:
    """Change one row in place, shape (n,): one element, a run, all of one code, or its length."""
    n, form = len(codes), spec.input
    kind, at = int(rng.integers(6)), int(rng.integers(n))
    step = int(rng.integers(1, 3)) * (1 if rng.random() < 0.5 else -1)
    to = min(n, at + 1 + int(n ** rng.random()))
    if kind == 0:
        codes[at] = rng.integers(form.min, form.max + 1)
    elif kind == 1:
        codes[at] += step
    elif kind == 2:
        codes[at:to] = codes[int(rng.integers(n))]
    elif kind == 3:
        codes[codes == codes[at]] += step
    elif kind == 4:
        codes[codes == codes[at]] = rng.integers(form.min, form.max + 1)
    else:
        mask[at:to] = rng.random() < 0.5
    np.clip(codes, form.min, form.max, out=codes)


def worst_row(spec: RowSpec, steps: int = 100, seed: int = 0) -> Worst:
    """Search for the row with the largest error.

    Parameters
    ----------
    spec : RowSpec
        The unit; what it wraps, of a writable one.
    steps : int
        How often the worst rows are changed.
    seed : int
        Of what is random.
    """
    rng, size = np.random.default_rng(seed), spec.length
    starts = list(_starts(spec, rng))
    codes = np.zeros((len(starts), size), np.int64)
    mask = np.ones((len(starts), size), bool)
    for number, row in enumerate(starts):
        codes[number, : len(row)], mask[number, : len(row)] = row, False

    def errors(codes: np.ndarray, mask: np.ndarray) -> np.ndarray:
        cuts = range(0, len(codes), max(1, AT_ONCE // size))
        parts = zip(np.split(codes, cuts[1:]), np.split(mask, cuts[1:]), strict=True)
        return np.concatenate([row_errors(spec, *part) for part in parts])

    off, tried = errors(codes, mask), len(codes)
    for _ in range(steps):
        # Of rows with the same error, which are much the same, one is kept.
        _, one = np.unique(-off, return_index=True)
        codes, mask, off = codes[one[:KEPT]], mask[one[:KEPT]], off[one[:KEPT]]
        children, masks = codes.repeat(COPIES, axis=0), mask.repeat(COPIES, axis=0)
        for child, missing in zip(children, masks, strict=True):
            for _ in range(1 + int(rng.integers(3))):
                _change(spec, child, missing, rng)
        off = np.append(off, errors(children, masks))
        codes, mask = np.append(codes, children, axis=0), np.append(mask, masks, axis=0)
        tried += len(children)
    best = int(off.argmax())
    return Worst(float(off[best]), codes[best][~mask[best]], tried)
