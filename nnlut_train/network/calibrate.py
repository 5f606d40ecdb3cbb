"""From a model and unlabelled data to a plan: scales, tables, units, sites."""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from hw.choices import EPS
from hw.design import design
from hw.plan import Plan, PlannedSite, PlannedUnit
from hw.request import Request
from nnlut_train.errors import UsageError
from nnlut_train.functions import FUNCTIONS
from nnlut_train.modules import NormModule, module_of
from nnlut_train.tables import DirectTable
from sim.golden import Spec, WritableSpec

from .observe import Observation, observe
from .replace import check_sites, site_parts
from .scales import norm_scales, softmax_error, unary_scales

__all__ = ["DEFAULTS", "FLOOR", "OPS", "calibrate", "plan_of", "updated"]

#: Options of each unit beside its scales, by operation; of all other functions, by "".
DEFAULTS: dict[str, dict[str, Any]] = {
    "softmax": {"bits": 12, "distance_bits": 8, "output_bits": 8, "mask": True},
    "layernorm": {"bits": 16, "output_bits": 16},
    "rmsnorm": {"bits": 16, "output_bits": 16},
    "": {"bits": 12, "output_bits": 16},
}
#: What a plan replaces by default: exponentials, roots and waves outside of softmax and norms are
#: rare, and mostly of positions.
OPS = ("softmax", "layernorm", "rmsnorm", "gelu", "gelu_tanh", "silu", "hswish", "hsigmoid", "mish",
       "softplus", "elu", "sigmoid", "tanh", "erf")  # fmt: skip
#: Share of a fit's weight that all arguments have alike; the rest is the histogram's. Rare large
#: arguments matter more than their number says.
FLOOR = 0.5
#: Shortest row that a unit is built for.
LENGTH_MIN = 128


def calibrate(
    model: nn.Module, batches: Iterable[Any], *, call: Callable[..., Any] | None = None,
    seed: int = 0, progress: bool = False, **choices: Any,
) -> Plan:  # fmt: skip
    """Choose units for a model by unlabelled data.

    Parameters
    ----------
    model : nn.Module
        The model.
    batches : iterable
        Inputs: keywords of a mapping, arguments of a tuple, or one tensor. No labels.
    call : callable, optional
        ``call(model, batch)`` runs a batch, where that is not enough.
    seed : int
        Of samples and fits.
    progress : bool
        Show progress on a terminal.
    **choices
        See `plan_of`.

    Raises
    ------
    UsageError
        If the model has nothing to replace, or an option is wrong.
    """
    observations = observe(model, batches, call=call, seed=seed, progress=progress)
    return plan_of(observations, seed=seed, **choices)


def plan_of(
    observations: Mapping[str, Observation], *, entries: int | None = 8,
    ops: Collection[str] = OPS, options: Mapping[str, Mapping[str, Any]] | None = None,
    per_site: bool = False, floor: float = FLOOR, seed: int = 0,
) -> Plan:  # fmt: skip
    """Choose units for what was observed.

    Parameters
    ----------
    observations : mapping of str to Observation
        By site; see `nnlut_train.network.observe.observe`.
    entries : int, optional
        Segments of every table of lines; None for the builds' default.
    ops : collection of str
        Operations to replace.
    options : mapping, optional
        By operation: other options of its unit than `DEFAULTS`, such as ``{"gelu": {"bits": 8}}``,
        and scales that are not to be chosen (``input_frac``, ``output_frac``).
    per_site : bool
        A unit for each site, instead of one for all sites of an operation.
    floor : float
        Between 0 and 1; see `FLOOR`.
    seed : int
        Of the fits.

    Raises
    ------
    UsageError
        If there is nothing to replace, or an option is wrong.
    """
    if not 0.0 <= floor <= 1.0:
        raise UsageError(f"floor must be 0 to 1, not {floor}")
    options = options or {}
    groups: dict[str, list[Observation]] = {}
    for site, observation in observations.items():
        if observation.op in ops:
            name = re.sub(r"\W", "_", site) if per_site else observation.op
            groups.setdefault(name, []).append(observation)
    if not groups:
        found = ", ".join(sorted({o.op for o in observations.values()})) or "none"
        raise UsageError(
            f"the model must have one of {', '.join(ops)}, but was seen to have {found}"
        )
    units, sites, errors = {}, {}, {}
    for name, group in groups.items():
        op = group[0].op
        given = {**DEFAULTS.get(op, DEFAULTS[""]), **options.get(op, {}), "seed": seed}
        if entries is not None and given.get("arch") != "direct" and given.get("method") != "ibert":
            given.setdefault("entries", entries)
        make = _norm if op in EPS else _softmax if op == "softmax" else _unary
        units[name], planned, found = make(name, op, group, given, floor)
        sites |= planned
        errors |= found
    meta = {
        "calls": {o.site: o.calls for group in groups.values() for o in group},
        "relative_errors": errors, "floor": floor, "seed": seed,
    }  # fmt: skip
    # In the model's order.
    return Plan(units, {site: sites[site] for site in observations if site in sites}, meta)


_Made = tuple[PlannedUnit, dict[str, PlannedSite], dict[str, float]]


def _unit(request: Request, spec: Spec | None = None) -> tuple[PlannedUnit, Spec]:
    arch = request.wanted[0]
    spec = design(request, arch) if spec is None else spec
    return PlannedUnit(replace(request, gamma=None, beta=None), arch, spec), spec


def _unary(
    name: str, op: str, group: Sequence[Observation], given: dict[str, Any], floor: float
) -> _Made:
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
    planned = {o.site: PlannedSite(op, name) for o in group}
    return PlannedUnit(request, arch, spec), planned, choice.errors


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


def _softmax(
    name: str, op: str, group: Sequence[Observation], given: dict[str, Any], floor: float
) -> _Made:
    """Plan a softmax: the scale of the logits, and of their distance from the maximum."""
    longest = max(o.longest for o in group)
    lanes = given.get("lanes", 1)
    given.setdefault("length", max(LENGTH_MIN, 1 << math.ceil(math.log2(longest)), lanes))
    if given.get("method", "nnlut") != "nnlut":
        given.pop("distance_bits", None)
        given.pop("distance_frac", None)
        if given["method"] in ("rexp", "lut2d"):
            for option in ("output_bits", "entries"):
                given.pop(option, None)
    largest = max(max(-o.low, o.high) for o in group)
    covers = given["bits"] - 1 - math.ceil(math.log2(max(largest, 2.0**-8)))
    best = None
    for input_frac in _tried(given, "input_frac", range(covers, covers + 3)):
        narrow = given.get("distance_bits") is not None
        fracs = range(max(input_frac - 4, 1), input_frac + 1) if narrow else (None,)
        for distance_frac in _tried(given, "distance_frac", fracs):
            scales = {"input_frac": input_frac}
            scales |= {"distance_frac": distance_frac} if narrow else {}
            request = Request(op, module=name, **(given | scales))
            spec = design(request, request.wanted[0])
            module = module_of(spec)
            errors = {o.site: softmax_error(module, o) for o in group}
            if best is None or sum(errors.values()) < sum(best[2].values()):
                best = request, spec, errors
    request, spec, errors = best
    unit = PlannedUnit(request, request.wanted[0], spec)
    return unit, {o.site: PlannedSite(op, name) for o in group}, errors


def _tried(given: Mapping[str, Any], name: str, candidates: Iterable[Any]) -> Iterable[Any]:
    """Return what is to be tried of an option: the given value alone, if there is one."""
    return candidates if given.get(name) is None else (given[name],)


def _norm(
    name: str, op: str, group: Sequence[Observation], given: dict[str, Any], floor: float
) -> _Made:
    """Plan a norm: one unit, and for each site its input's scale, gamma and beta."""
    longest = max(o.longest for o in group)
    lanes = given.get("lanes", 1)
    given.setdefault("length", -(-longest // lanes) * lanes)
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
    covers = given["output_bits"] - 1 - math.ceil(math.log2(peak))
    for output_frac in _tried(given, "output_frac", (covers, covers + 1)):
        request = Request(op, module=name, **(given | {"output_frac": output_frac}))
        spec = design(request, request.wanted[0])
        module = module_of(spec)
        assert isinstance(module, NormModule)
        scales = {o.site: norm_scales(module, o) for o in group}
        total = sum(error for _, error in scales.values())
        if best is None or total < best[0]:
            best = total, request, spec, module, scales
    _, request, spec, module, scales = best
    planned = {}
    for o in group:
        codes = {
            key: tuple(module.affine_codes(key, values).tolist())
            for key, values in (("gamma", o.weight), ("beta", o.bias))
            if values is not None and request.method == "nnlut"
        }
        planned[o.site] = PlannedSite(op, name, **codes, input_frac=scales[o.site][0])
    spec = _with_values(spec, planned[group[0].site])
    unit = PlannedUnit(replace(request, gamma=None, beta=None), request.wanted[0], spec)
    return unit, planned, {site: error for site, (_, error) in scales.items()}


def _largest_result(o: Observation) -> float:
    """Return the largest result of an exact norm on a site's rows."""
    rows = [row for row in o.rows if len(row) > 1]
    z = [(row - row.mean()) / math.sqrt(row.var() + o.eps + 1e-30) for row in rows]
    gain = np.ones(1) if o.weight is None else o.weight.detach().cpu().numpy()
    offset = np.zeros(1) if o.bias is None else o.bias.detach().cpu().numpy()
    return max(
        [float(np.abs(v * gain + offset).max()) for v in z if gain.size in (1, v.size)] or [1.0]
    )


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


def updated(plan: Plan, model: nn.Module) -> Plan:
    """Return the plan with the gamma and beta that a model's norms have by now.

    Training changes them; a plan is refused for other weights than it was made of.

    Parameters
    ----------
    plan : Plan
        The plan that the model was trained with.
    model : nn.Module
        The model, replaced or not.

    Raises
    ------
    UsageError
        If the plan does not fit the model; the message names the site.
    """
    check_sites(model, plan)
    sites = {}
    for name, site in plan.sites.items():
        if site.gamma is not None or site.beta is not None:
            layer = model.get_submodule(site_parts(name, site.op)[0])
            module = module_of(plan.units[site.unit].spec)
            assert isinstance(module, NormModule)
            for row, parameter in (("gamma", "weight"), ("beta", "bias")):
                if getattr(site, row) is not None:
                    codes = module.affine_codes(row, getattr(layer, parameter))
                    site = replace(site, **{row: tuple(codes.tolist())})
        sites[name] = site
    return replace(plan, sites=sites)
