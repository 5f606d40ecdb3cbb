"""The catalogue of what can be built: ``python -m hw.build --list``."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sim.measure import measure

from .choices import ARCH_BITS_MAX, EPS, METHODS, OPS
from .design import design
from .report import latency_text
from .report_accuracy import rounded_up
from .request import Request

__all__ = ["KINDS", "Entry", "catalogue", "lines"]

#: Random rows that row units are measured by: quick, and enough to see what a method can do.
ROWS = 2000

#: A request of every kind of unit, and every method; small, for long runs.
KINDS: dict[str, dict[str, Any]] = {
    "pwl": {"op": "gelu"},
    "direct": {"op": "gelu", "arch": "direct"},
    "direct, folded": {"op": "tanh", "bits": 11, "arch": "direct"},
    "pwl, stages": {"op": "gelu", "arch": "pwl", "stages": 6},
    "float": {"op": "gelu", "precision": "fp16", "entries": 8},
    "float, writable": {"op": "exp", "precision": "fp16", "entries": 4, "tables": "writable"},
    "minimised": {"op": "gelu", "bits": 5, "arch": "minimised", "logic": "lut4"},
    "delta": {"op": "silu", "arch": "delta"},
    "multipartite": {"op": "tanh", "arch": "multipartite"},
    "indexed": {"op": "gelu", "arch": "indexed"},
    "shiftadd": {"op": "exp", "arch": "shiftadd", "fold": "none"},
    "exp": {"op": "exp"},
    "exp, stages": {"op": "exp", "arch": "pwl", "stages": 9},
    "reciprocal": {"op": "reciprocal"},
    "rsqrt": {"op": "rsqrt"},
    "sqrt": {"op": "sqrt"},
    "log": {"op": "log"},
    "sin": {"op": "sin", "bits": 10},
    "i-exp": {"op": "exp", "method": "ibert"},
    "i-gelu": {"op": "gelu", "method": "ibert"},
    "i-sqrt": {"op": "sqrt", "method": "ibert"},
    "shared": {"op": "gelu,exp,tanh"},
    "lanes": {"op": "sigmoid", "lanes": 4},
    "serial": {"op": "sigmoid", "lanes": 4, "interval": 2},
    "writable": {"op": "gelu", "entries": 8, "tables": "writable"},
    "softmax": {"op": "softmax", "bits": 6, "length": 24, "mask": True},
    "softmax, lanes": {"op": "softmax", "bits": 6, "length": 24, "lanes": 4, "mask": True},
    "softmax, narrow distance": {"op": "softmax", "bits": 8, "distance_bits": 5, "length": 24,
                                 "mask": True},
    "rexp": {"op": "softmax", "bits": 6, "length": 24, "method": "rexp"},
    "lut2d": {"op": "softmax", "bits": 6, "length": 24, "method": "lut2d"},
    "base2": {"op": "softmax", "bits": 6, "length": 24, "method": "base2"},
    "kulisch": {"op": "softmax", "bits": 6, "length": 24, "method": "kulisch", "mask": True},
    "kulisch, lanes": {"op": "softmax", "bits": 6, "length": 24, "method": "kulisch", "lanes": 4},
    "ibert": {"op": "softmax", "bits": 6, "length": 24, "method": "ibert"},
    "layernorm": {"op": "layernorm", "bits": 8, "length": 24},
    "rmsnorm, lanes": {"op": "rmsnorm", "bits": 8, "length": 24, "lanes": 2},
    "i-layernorm": {"op": "layernorm", "bits": 8, "length": 24, "method": "ibert"},
}  # fmt: skip

HEAD = ("op", "method", "--arch", "--bits", "default formats", "latency in clocks", "beats/clock",
        "largest error, ulp")  # fmt: skip
WIDTHS = (10, 7, 8, 9, 16, 35, 11, 18)


@dataclass(frozen=True)
class Entry:
    """One op by one method in one architecture, with its default options.

    Parameters
    ----------
    op, method, arch : str
        What it is.
    bits : str
        Widths of its input.
    formats : str
        Default formats, in and out.
    latency : str
        Clocks from the first beat of a row to its first result.
    throughput : str
        Beats a clock.
    accuracy : str
        Largest error against float64 in ulp: proved, or else measured.
    """

    op: str
    method: str
    arch: str
    bits: str
    formats: str
    latency: str
    throughput: str
    accuracy: str


def _bits(op: str, arch: str, method: str) -> str:
    if op in EPS:
        return "8-16"
    if op == "softmax":
        return "4-12"
    if method == "nnlut" and arch == "pwl":
        return "4-16, 32"
    return f"4-{min(16, ARCH_BITS_MAX.get(arch, 16))}"


def catalogue() -> Iterator[Entry]:
    """Yield every op by every method in every architecture; each is designed and measured."""
    for op in OPS:
        for method in METHODS.get(op, ("nnlut",)):
            request = Request(op, method=method)
            for arch in request.possible:
                yield _entry(request, arch)


def _entry(request: Request, arch: str) -> Entry:
    spec = design(request, arch)
    accuracy, bound = measure(spec, request.ops, rows=ROWS)
    if bound is None:
        error = f"{accuracy.max_ulp:.3f} measured"
    else:
        error = f"{rounded_up(bound)} {'proved' if spec.longest else 'all codes'}"
    return Entry(
        request.op, request.method, arch, _bits(request.op, arch, request.method),
        f"{spec.input} to {spec.output}", latency_text(spec), "1", error,
    )  # fmt: skip


def lines() -> Iterator[str]:
    """Yield the lines of the catalogue as text, each as soon as it is known."""
    yield _line(HEAD)
    for entry in catalogue():
        yield _line(tuple(vars(entry).values()))


def _line(cells: tuple[str, ...]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()
