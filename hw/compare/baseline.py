"""What became smaller or larger since results that were kept."""

from collections.abc import Mapping
from typing import Any

from nnlut_train.errors import UsageError, where

__all__ = ["changes"]

#: What is compared of a cost, each on its own.
FIGURES = ("area", "luts", "lutram", "bram", "dsp", "flip_flops", "fmax_mhz", "power_mw")


def _costs(results: Mapping[str, Any]) -> dict[tuple[str, str, str], float]:
    """Return every figure of every point, by point, target and name."""
    found = {}
    for number, point in enumerate(_typed(results, "points", list)):
        with where(f"points[{number}]"):
            at = f"{_typed(point, 'group', str)}: {_typed(point, 'name', str)}"
            for target, cost in _typed(point, "costs", dict).items():
                if not isinstance(cost, dict):
                    raise UsageError(f"costs: {target} must be an object")
                for name in FIGURES:
                    if cost.get(name) is not None:
                        found[at, target, name] = float(_typed(cost, name, int | float))
    return found


def _typed(data: Any, name: str, wanted: Any) -> Any:
    """Return a field of JSON data; raise UsageError unless it is there, and of this type."""
    if not isinstance(data, Mapping) or not isinstance(data.get(name), wanted):
        kind = getattr(wanted, "__name__", "number")
        raise UsageError(f"{name} must be there, and a {kind}")
    return data[name]


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return a line for each figure of a cost that is not what it was.

    Parameters
    ----------
    before, after : mapping
        Results as `hw.compare.results` has them. Points and targets that are in one only are
        left out, but for a line that tells how many there are.

    Raises
    ------
    UsageError
        If a field is missing or of another type.
    """
    old, new = _costs(before), _costs(after)
    lines = []
    for key in old.keys() & new.keys():
        if old[key] != new[key]:
            was, now = old[key], new[key]
            change = f"{100 * (now / was - 1):+.1f} %" if was else "new"
            lines.append((key, f"{key[0]}, {key[1]}: {key[2]} {was:g} -> {now:g} ({change})"))
    said = [text for _, text in sorted(lines)]
    for name, count in (("gone", len(old.keys() - new.keys())),
                        ("new", len(new.keys() - old.keys()))):  # fmt: skip
        if count:
            said.append(f"{count} figures are {name}")
    return said
