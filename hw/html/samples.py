"""What the report's plots show: computed by the golden models, held against float64."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from nnlut_train.formats import ENUMERATED_BITS, Format
from nnlut_train.functions import Function, lookup
from sim.accuracy import softmax_reference
from sim.accuracy.norm import norm_corner_rows, norm_random_rows, norm_reference
from sim.accuracy.unary import SAMPLE
from sim.golden import NormRowSpec, PwlSpec, SharedSpec, SoftmaxRowSpec, Spec, UnarySpec
from sim.sampling import sample_codes
from sim.stimuli import corner_rows, random_rows

__all__ = ["Curve", "RowSample", "curves", "row_sample"]

#: Elements of the row that is shown.
SHOWN = 32
#: Random rows whose errors are shown.
ROWS = 200


@dataclass(frozen=True)
class Curve:
    """A unary function, exactly and by the unit; arrays have the shape (codes,).

    Parameters
    ----------
    name : str
        The function's.
    input, output : Format
        Formats of argument and result.
    x, exact, result : float64 array
        Arguments, the function limited to the output's range, and the unit's results.
    error : float64 array
        ``result - exact`` in ulp.
    edges : float64 array, shape (edges,)
        Arguments at which another segment begins.
    """

    name: str
    input: Format
    output: Format
    x: np.ndarray
    exact: np.ndarray
    result: np.ndarray
    error: np.ndarray
    edges: np.ndarray


@dataclass(frozen=True)
class RowSample:
    """Rows through a row unit.

    Parameters
    ----------
    x, exact, result, error : float64 array, shape (n,)
        One realistic row: elements, exact results, the unit's, and their difference in ulp.
    lengths, peaks : array, shape (rows,)
        Of random and corner rows: elements, and the largest error, in ulp.
    errors : float64 array, shape (elements,)
        All of these rows' errors, in ulp, without a sign.
    """

    x: np.ndarray
    exact: np.ndarray
    result: np.ndarray
    error: np.ndarray
    lengths: np.ndarray
    peaks: np.ndarray
    errors: np.ndarray


def curves(spec: Spec, ops: Sequence[str], domain: tuple[float, float] | None) -> list[Curve]:
    """Return the functions of a unary unit, at the codes of its accuracy; none of other units."""
    bare = spec.bare
    if isinstance(bare, SharedSpec):
        return [_curve(PwlSpec(table), lookup(op))
                for table, op in zip(bare.functions, ops, strict=True)]  # fmt: skip
    if not isinstance(bare, UnarySpec) or not isinstance(bare.output, Format):
        return []
    return [_curve(bare, lookup(ops[0], domain))]


def _curve(spec: UnarySpec, function: Function) -> Curve:
    # The codes of `sim.accuracy.unary_accuracy`, so that its figures are those of the plots.
    codes = spec.input.grid()
    if spec.input.bits > ENUMERATED_BITS:
        codes = np.union1d(codes, sample_codes(spec, SAMPLE, np.random.default_rng(0)))
    x = spec.input.real(codes)
    exact = spec.output.clip(function(x))
    result = spec.output.real(spec.compute(codes))
    edges = x[1:][np.diff(spec.segment(codes)) != 0]
    return Curve(
        function.name, spec.input, spec.output, x, exact, result,
        (result - exact) / spec.output.scale, edges,
    )  # fmt: skip


def row_sample(spec: Spec) -> RowSample | None:
    """Return rows through a row unit; None of a unit of another kind."""
    bare = spec.bare
    if isinstance(bare, SoftmaxRowSpec):
        scale = bare.output_scale
        rows = [
            *random_rows(bare, ROWS, np.random.default_rng(0)),
            *islice(corner_rows(bare), ROWS),
        ]

        def exactly(codes: np.ndarray) -> np.ndarray:
            return softmax_reference(bare, codes)

    elif isinstance(bare, NormRowSpec):
        scale = bare.output.scale
        # Rows come in groups of one length: of many groups, a few rows each.
        rows = [row for group in norm_random_rows(bare, 8 * ROWS, np.random.default_rng(0))
                for row in group[:4]]  # fmt: skip
        rows += list(norm_corner_rows(bare))

        def exactly(codes: np.ndarray) -> np.ndarray:
            return bare.output.clip(norm_reference(bare, codes))

    else:
        return None
    # Logits and activations of N(0, 2): the protocol of docs/softmax.md and docs/layernorm.md.
    length = min(bare.length, SHOWN)
    codes = bare.input.quantize(np.random.default_rng(0).normal(0.0, 2.0, length))
    exact, result = exactly(codes), bare.compute(codes) * scale
    errors = [np.abs(bare.compute(row) - exactly(row) / scale) for row in rows]
    return RowSample(
        bare.input.real(codes), exact, result, (result - exact) / scale,
        np.array([len(row) for row in rows]), np.array([error.max() for error in errors]),
        np.concatenate(errors),
    )  # fmt: skip
