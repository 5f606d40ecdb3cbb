"""What is compared: the units, and for which targets each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from nnlut_train.functions import FUNCTIONS as FUNCTION

from ..choices import ARCH_BITS_MAX, LINE_ARCHS, SLOW_ARCHS
from ..request import Request

__all__ = ["FUNCTIONS", "GROUPS", "LINES", "Point", "lines", "points"]

#: The functions that are compared in every width and architecture.
FUNCTIONS = ("exp", "gelu", "silu", "sigmoid", "tanh", "reciprocal", "rsqrt")
#: Widths that are compared.
WIDTHS = (8, 12, 16)
#: Segments of the papers' units.
LINES = 16
#: Architectures that are compared at the error of those lines, too: the smaller the error may be,
#: the larger they are. (So is `shiftadd`, which is hardly ever smaller than `indexed`.)
BOUNDED = ("indexed", "multipartite")


@dataclass(frozen=True)
class Point:
    """One unit that is compared.

    Parameters
    ----------
    group : str
        A key of `GROUPS`.
    options : tuple of (str, object)
        Of the `Request`.
    arch : str
        Its architecture.
    as_lines : bool
        Whether its error may be as large as that of the papers' 16 lines (`lines`), in place of
        the architecture's own bound.
    """

    group: str
    options: tuple[tuple[str, Any], ...]
    arch: str
    as_lines: bool = False

    @cached_property
    def request(self) -> Request:
        """What is built."""
        return Request(**dict(self.options))

    @property
    def name(self) -> str:
        """What tells it from the other points of its group."""
        said = [self.request.name, self.arch]
        shown = {"entries", "fold", "length", "stages"}
        said += [f"{name}={value}" for name, value in self.options
                 if name in shown and value != "auto"]  # fmt: skip
        return " ".join([*said, "as lines"] if self.as_lines else said)


def _point(group: str, chosen: str, **options: Any) -> Point:
    return Point(group, tuple(options.items()), chosen)


def lines(op: str, bits: int) -> tuple[Point, Point]:
    """Return the papers' unit, 16 lines: of the whole function, and of its reduced range."""
    whole, reduced = (
        _point("functions", "pwl", op=op, bits=bits, entries=LINES, fold=fold, arch="pwl")
        for fold in ("none", "auto")
    )
    return whole, reduced


def _folds(op: str, arch: str) -> tuple[str, ...]:
    """Return the folds with which an architecture gets smaller with the error it may have."""
    if arch not in BOUNDED:
        return ()
    # Where there is a range reduction, a table of the whole function may be the smaller one.
    return ("auto", "none") if arch in LINE_ARCHS and not FUNCTION[op].symmetry else ("auto",)


def _functions() -> Iterator[Point]:
    """Every function in every width and architecture, and the papers' 16 lines."""
    for op in FUNCTIONS:
        for bits in WIDTHS:
            yield from lines(op, bits)
            if bits > WIDTHS[0]:  # of the narrowest, 16 lines are all that it has by itself
                yield _point("functions", "pwl", op=op, bits=bits, arch="pwl")
            for arch, most in ARCH_BITS_MAX.items():
                if bits <= most and arch not in ("pwl", *SLOW_ARCHS):
                    yield _point("functions", arch, op=op, bits=bits, arch=arch)
                    for fold in _folds(op, arch):
                        one = _point("functions", arch, op=op, bits=bits, arch=arch, fold=fold)
                        yield replace(one, as_lines=True)


def _baselines() -> Iterator[Point]:
    """NN-LUT's unit in all precisions, with 8 and 16 entries, as ROM and writable."""
    for tables in ("rom", "writable"):
        for entries in (8, 16):
            for bits in (8, 16, 32):
                yield _point("baselines", "pwl", op="gelu", bits=bits, entries=entries,
                             tables=tables)  # fmt: skip
            for precision in ("fp16", "fp32"):
                yield _point("baselines", "pwl", op="gelu", precision=precision, entries=entries,
                             tables=tables)  # fmt: skip


def _ibert() -> Iterator[Point]:
    """I-BERT's polynomials, and lines of the same functions."""
    for op in ("gelu", "exp", "sqrt"):
        for bits in (8, 16):
            yield _point("ibert", "integer", op=op, bits=bits, method="ibert")
        for bits in (8, 32):
            yield _point("ibert", "pwl", op=op, bits=bits, entries=16, fold="none")


def _rows() -> Iterator[Point]:
    """Softmax and the norms, by every method."""
    softmax = {"op": "softmax", "bits": 8}
    for length in (64, 128):
        yield _point("rows", "direct", **softmax, length=length, method="kulisch")
        for arch in ("pwl", "direct"):
            yield _point("rows", arch, **softmax, length=length)
        for method, arch in (
            ("base2", "pwl"), ("base2", "direct"), ("rexp", "direct"), ("lut2d", "direct"),
            ("ibert", "integer"),
        ):  # fmt: skip
            yield _point("rows", arch, **softmax, length=length, method=method)
    yield _point("rows", "direct", **softmax, length=8, lanes=8)
    yield _point("rows", "direct", **softmax, length=64, lanes=8)
    for op in ("layernorm", "rmsnorm"):
        for bits in (8, 16):
            for arch in ("pwl", "direct"):
                yield _point("rows", arch, op=op, bits=bits, length=128)
    yield _point("rows", "integer", op="layernorm", bits=8, length=128, method="ibert")


def _shared() -> Iterator[Point]:
    """Lanes that share multipliers and tables: fewer copies, more clocks."""
    for interval in (1, 2, 4):
        yield _point("intervals", "pwl", op="gelu", bits=16, lanes=4, interval=interval)


#: From a group to what makes its points.
GROUPS: Mapping[str, Any] = MappingProxyType({
    "functions": _functions, "baselines": _baselines, "ibert": _ibert, "rows": _rows,
    "intervals": _shared,
})  # fmt: skip


def points(groups: tuple[str, ...]) -> list[Point]:
    """Return the points of some groups, in their order."""
    return [point for group in groups for point in GROUPS[group]()]
