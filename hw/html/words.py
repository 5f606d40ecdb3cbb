"""Numbers of the report in words: formats, sizes, costs."""

from collections.abc import Iterator, Mapping
from typing import Any

from nnlut_train.formats import Format

from .elements import number

__all__ = [
    "ARCHITECTURES", "METHODS", "cost_rows", "cost_size", "format_words", "significant",
    "step_words", "target_name",
]  # fmt: skip

#: What architectures are called; others go by their own names.
ARCHITECTURES = {
    "pwl": "straight lines between learned breakpoints (pwl)",
    "direct": "direct table of all values",
    "integer": "integer arithmetic without tables",
    "indexed": "straight lines in segments addressed by leading bits (indexed)",
    "shiftadd": "lines by leading bits, slopes of few signed powers of two (shiftadd)",
    "multipartite": "a sum of small tables (multipartite)",
    "delta": "a table of differences from a cheap base (delta)",
    "minimised": "a table minimised as logic (minimised)",
}
#: What methods are called.
METHODS = {
    "nnlut": "learned integer tables (nnlut)",
    "ibert": "integer polynomials of I-BERT (ibert)",
    "rexp": "reciprocal exponential tables of Vasyltsov & Chang (rexp)",
    "lut2d": "two-dimensional table of Vasyltsov & Chang (lut2d)",
    "base2": "base 2 with a running integer maximum (base2)",
}
_TARGETS = {
    "generic": "gates (generic)", "liberty": "gates (your library)", "ice40": "iCE40",
    "ecp5": "ECP5", "xilinx": "Xilinx 7",
}  # fmt: skip
#: Keys of a cost that are units, policies or lists, and no quantities.
_NO_QUANTITY = frozenset({"design", "target", "yosys", "cells", "libraries", "unit"})
_NAMES = {
    "area": "area", "sequential_area": "area of flip-flops", "combinational_area": "area of logic",
    "cell_count": "cells", "luts": "LUTs", "lutram": "LUTs as memory", "bram": "block RAMs",
    "dsp": "DSP blocks", "flip_flops": "flip-flops", "carry": "carry cells",
    "wide_muxes": "wide multiplexers", "bram_kinds": "kinds of block RAM",
    "bram_policy": "block RAM policy",
}  # fmt: skip


def significant(value: float, step: float) -> str:
    """Return a number with three digits, or as many as tell it from one half a `step` away."""
    digits = next((d for d in range(3, 17) if abs(float(f"{value:.{d}g}") - value) < step / 2), 17)
    text = f"{value:,.0f}" if abs(value) >= 1000 and step >= 1 else f"{value:.{digits}g}"
    return text.replace("-", "\u2212")


def step_words(scale: float) -> str:
    """Return the real value of one step of a code: ``1/16``, ``1``, ``4``."""
    return f"1/{1 / scale:,.0f}" if scale < 1 else f"{scale:,.0f}"


def format_words(form: Format, scale: float | None = None) -> str:
    """Return a format for people: ``INT8, scale 1/16, from -8 to 7.94``.

    Parameters
    ----------
    form : Format
        The format.
    scale : float, optional
        Real value of one step; by default the format's.
    """
    if not isinstance(form, Format):
        return str(form)
    scale = form.scale if scale is None else scale
    kind = "INT" if form.signed else "UINT"
    low, high = (significant(code * scale, scale) for code in (form.min, form.max))
    return f"{kind}{form.bits}, scale {step_words(scale)}, from {low} to {high}"


def target_name(target: str) -> str:
    """Return what a target is called."""
    return _TARGETS.get(target, target)


def cost_size(cost: Mapping[str, Any]) -> tuple[float, str]:
    """Return the one number by which costs are compared, and its unit; see `hw.cost`."""
    if "area" in cost:
        return cost["area"], "\u00b5m\u00b2" if cost["unit"] == "um2" else cost["unit"]
    return cost.get("luts", 0) + cost.get("lutram", 0), "LUTs"


def cost_rows(cost: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield ``(quantity, text)`` of all that a cost has, nested objects included."""
    for key, value in cost.items():
        if key in _NO_QUANTITY and not prefix:
            continue
        name = _NAMES.get(key) if not prefix else None
        name = name or f"{prefix}{key.replace('_', ' ')}"
        if key.endswith("area") and not prefix and "unit" in cost:
            name = f"{name}, {cost_size(cost)[1]}"
        if isinstance(value, bool | str):
            yield name, str(value)
        elif isinstance(value, int | float):
            yield name, number(value, 3 if abs(value) < 10 else 2)
        elif isinstance(value, Mapping):
            yield from cost_rows(value, f"{name}: ")
        elif (
            isinstance(value, list | tuple)
            and value
            and all(isinstance(item, int | float | str) for item in value)
        ):
            yield (
                name,
                ", ".join(item if isinstance(item, str) else number(item, 3) for item in value),
            )
