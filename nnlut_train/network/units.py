"""The unit of a group of sites: scales by measured error, tables, gamma and beta of each site."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hw.choices import LENGTH_MAX
from hw.design import design
from hw.plan import PlannedSite, PlannedUnit
from hw.request import Request
from nnlut_train.errors import UsageError
from nnlut_train.functions import FUNCTIONS
from nnlut_train.modules import NormModule, module_of
from nnlut_train.tables import DirectTable
from sim.golden import Spec, WritableSpec

from .measured import affine_of, softmax_results
from .observe import Observation
from .scales import fractions, norm_scales, unary_scales

__all__ = ["LENGTH_MIN", "Made", "make_norm", "make_softmax", "make_unary"]

#: Shortest row that a softmax is built for.
LENGTH_MIN = 128

#: A unit, and its sites.
Made = tuple[PlannedUnit, dict[str, PlannedSite]]


def make_unary(
    name: str, op: str, group: Sequence[Observation], given: dict[str, Any], floor: float
) -> Made:
    """Plan a function of one element, its table fitted to how often arguments occur."""
    choice = unary_scales(
        FUNCTIONS[op], group, given["bits"], given["output_bits"], given.get("input_frac"),
        given.get("output_frac"),
    )  # fmt: skip
    scales = {"input_frac": choice.input_frac, "output_frac": choice.output_frac}
    request = Request(op, module=name, **(given | scales))
    weights = _weights([o.histogram.weights for o in group], floor)
    arch = request.wanted[0]
    spec = design(request, arch, weights=None if request.by_formula else weights)
    return PlannedUnit(request, arch, spec), {o.site: PlannedSite(op, name) for o in group}


def _weights(
    densities: Sequence[Callable[[np.ndarray], np.ndarray]], floor: float
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the weights of a fit: each site's density counts alike, and all arguments a little."""

    def weights(x: np.ndarray) -> np.ndarray:
        total = np.full(x.shape, floor / x.size)
        for density in densities:
            seen = density(x)
            total += (1.0 - floor) / len(densities) * seen / max(seen.sum(), 1e-300)
        return total

    return weights


def make_softmax(
    name: str, op: str, group: Sequence[Observation], given: dict[str, Any], floor: float
) -> Made:
    """Plan a softmax: the scale of the logits, and of their distance from the maximum."""
    longest = _longest(group, given)
    given.setdefault("length", max(LENGTH_MIN, 1 << (longest - 1).bit_length()))
    largest = max(max(-o.low, o.high) for o in group)
    # Scales are chosen with a fit that takes no time; a plain exp table sees distances as they are.
    quick = {option: value for option, value in given.items() if option != "fit"}
    densities = [lambda d, density=o.histogram.weights: density(-d) for o in group]
    best = None
    for input_frac in _tried(given, "input_frac", fractions(given["bits"], largest, 0, 2)):
        narrow = given.get("distance_bits") is not None
        fracs = range(max(input_frac - 4, 1), input_frac + 1) if narrow else (None,)
        for distance_frac in _tried(given, "distance_frac", fracs):
            scales = {"input_frac": input_frac}
            scales |= {"distance_frac": distance_frac} if narrow else {}
            request = Request(op, **(quick | scales))
            module = module_of(design(request, request.wanted[0]))
            error = sum(softmax_results(module, o).error(2) for o in group)
            if best is None or error < best[0]:
                best = error, scales
    request = Request(op, module=name, **(given | best[1]))
    spec = design(request, request.wanted[0], weights=_weights(densities, floor))
    unit = PlannedUnit(request, request.wanted[0], spec)
    return unit, {o.site: PlannedSite(op, name) for o in group}


def _longest(group: Sequence[Observation], given: Mapping[str, Any]) -> int:
    """Return the elements of the longest row; raise UsageError if it is too long for the unit."""
    site, longest = max(((o.site, o.longest) for o in group), key=lambda each: each[1])
    most = given.get("length", LENGTH_MAX)
    if longest > most:
        raise UsageError(f"site {site}: rows must have at most {most} elements, not {longest}")
    return longest


def _tried(given: Mapping[str, Any], name: str, candidates: Iterable[Any]) -> Iterable[Any]:
    """Return what is to be tried of an option: the given value alone, if there is one."""
    return candidates if given.get(name) is None else (given[name],)


def make_norm(
    name: str, op: str, group: Sequence[Observation], given: dict[str, Any], floor: float
) -> Made:
    """Plan a norm: one unit, and for each site its input's scale, gamma and beta."""
    lanes = given.get("lanes", 1)
    given.setdefault("length", -(-_longest(group, given) // lanes) * lanes)
    given.setdefault("eps", group[0].eps)
    if given.get("method", "nnlut") == "nnlut":
        if given.get("arch") != "direct":
            given.setdefault("tables", "writable")
        for option, values in (
            ("gamma", [o.weight for o in group]),
            ("beta", [o.bias for o in group]),
        ):
            values = [v for v in values if v is not None]
            if values:
                largest = max(float(v.detach().abs().max()) for v in values)
                given[option] = (max(largest, 1.0),) * given["length"]
    best = None
    peak = max(_largest_result(o) for o in group)
    for output_frac in _tried(given, "output_frac", fractions(given["output_bits"], peak, 0, 1)):
        request = Request(op, module=name, **(given | {"output_frac": output_frac}))
        spec = design(request, request.wanted[0])
        module = module_of(spec)
        assert isinstance(module, NormModule)
        scales = {o.site: norm_scales(module, o) for o in group}
        total = sum(error for _, error in scales.values())
        if best is None or total < best[0]:
            fracs = {site: frac for site, (frac, _) in scales.items()}
            best = total, request, spec, module, fracs
    _, request, spec, module, fracs = best
    planned = {}
    for o in group:
        codes = {
            key: tuple(module.affine_codes(key, row).tolist())
            for key, row in zip(("gamma", "beta"), affine_of(module, o), strict=True)
            if row is not None and getattr(spec.bare, key) is not None
        }
        planned[o.site] = PlannedSite(op, name, **codes, input_frac=fracs[o.site])
    spec = _with_values(spec, planned[group[0].site])
    unit = PlannedUnit(replace(request, gamma=None, beta=None), request.wanted[0], spec)
    return unit, planned


def _largest_result(o: Observation) -> float:
    """Return the largest result of an exact norm on a site's rows."""
    largest = 2.0**-8
    for row in o.rows:
        z = row - row.mean() if o.op == "layernorm" else row
        z = z / math.sqrt(np.square(z).mean() + o.eps + 1e-30)
        z = z if o.weight is None else z * o.weight.numpy()
        z = z if o.bias is None else z + o.bias.numpy()
        largest = max(largest, float(np.abs(z).max()))
    return largest


def _with_values(spec: Spec, site: PlannedSite) -> Spec:
    """Return a writable unit that begins with the gamma and beta of a site."""
    if not isinstance(spec, WritableSpec):
        return spec
    tables = {}
    for name in ("gamma", "beta"):
        values, table = getattr(site, name), getattr(spec.bare, name)
        if values is not None and table is not None:
            assert isinstance(table, DirectTable)
            tables[name] = replace(table, values=(*values, *table.values[len(values) :]))
    return spec.with_tables(tables)
