"""From a model and unlabelled data to a plan: scales, tables, units, sites."""

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from hw.checks import is_identifier
from hw.choices import EPS
from hw.choices import OPS as KNOWN
from hw.plan import Plan
from hw.request import Request
from nnlut_train.errors import UsageError, where
from nnlut_train.modules import NormModule, module_of

from .classes import norm_parameters
from .measured import relative_errors
from .observe import Observation, observe
from .replace import check_sites, site_parts
from .units import make_norm, make_softmax, make_unary

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
#: Options that a unit can be given.
CHOSEN = tuple(
    name for name in Request.__dataclass_fields__
    if name not in ("op", "domain", "gamma", "beta", "seed", "table", "module")
)  # fmt: skip
#: Share of a fit's weight that all arguments have alike; the rest is the histogram's. Rare large
#: arguments matter more than their number says.
FLOOR = 0.5


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
    _check_options(options)
    groups = _groups([o for o in observations.values() if o.op in ops], per_site)
    if not groups:
        found = ", ".join(sorted({o.op for o in observations.values()})) or "none"
        raise UsageError(
            f"the model must have one of {', '.join(ops)}, but was seen to have {found}"
        )
    units, sites, errors = {}, {}, {}
    for name, group in groups.items():
        op = group[0].op
        given = _given(op, options.get(op, {}), entries) | {"seed": seed}
        make = make_norm if op in EPS else make_softmax if op == "softmax" else make_unary
        with where(f"unit {name}"):
            units[name], planned = make(name, op, group, given, floor)
        sites |= planned
        errors |= relative_errors(units[name], [(planned[o.site], o) for o in group])
    meta = {
        "calls": {o.site: o.calls for group in groups.values() for o in group},
        "relative_errors": errors, "floor": floor, "seed": seed,
    }  # fmt: skip
    # In the model's order.
    return Plan(units, {site: sites[site] for site in observations if site in sites}, meta)


def _check_options(options: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise UsageError unless options are of operations, and are options of a unit."""
    for op, given in options.items():
        if op not in KNOWN:
            raise UsageError(f"options must be of {', '.join(KNOWN)}, not of {op!r}")
        for name in given:
            if name not in CHOSEN:
                raise UsageError(f"options of {op} must be {', '.join(CHOSEN)}, not {name!r}")


def _groups(observations: Sequence[Observation], per_site: bool) -> dict[str, list[Observation]]:
    """Return the sites of each unit, by its name: all of an operation, or each."""
    groups: dict[str, list[Observation]] = {}
    for o in observations:
        if not o.calls or not (o.counts.any() or o.rows):
            raise UsageError(f"site {o.site}: must be run on some elements that are not masked")
        name = o.op
        if per_site:
            name = re.sub(r"\W", "_", o.site, flags=re.ASCII)
            name = name if is_identifier(name) else f"site_{name}"
        # One unit has one epsilon.
        names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        for each in names:
            if each not in groups or not (per_site or groups[each][0].eps != o.eps):
                groups.setdefault(each, []).append(o)
                break
    return groups


def _given(op: str, options: Mapping[str, Any], entries: int | None) -> dict[str, Any]:
    """Return the options of a unit: the defaults that its method has, and `options`."""
    method = options.get("method", "nnlut")
    given = dict(DEFAULTS.get(op, DEFAULTS[""]))
    if method != "nnlut":
        given.pop("distance_bits", None)
    if method in ("rexp", "lut2d"):  # the precision has it
        del given["output_bits"]
    elif entries is not None and method != "ibert" and options.get("arch") != "direct":
        given["entries"] = entries
    return given | options


def updated(plan: Plan, model: nn.Module) -> Plan:
    """Return the plan with the gamma and beta that a model's norms have by now.

    Training changes them; a plan is refused for other weights than it was made of. Tables, scales
    and formats stay: what is beyond the formats of gamma and beta is limited to them, as it was in
    training. If activations have moved far, calibrate the trained model anew.

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
            layer = model.get_submodule(site_parts(name)[0])
            module = module_of(plan.units[site.unit].spec)
            assert isinstance(module, NormModule)
            for row, values in zip(("gamma", "beta"), norm_parameters(layer), strict=True):
                if getattr(site, row) is not None and values is not None:
                    codes = module.affine_codes(row, values)
                    site = replace(site, **{row: tuple(codes.tolist())})
        sites[name] = site
    return replace(plan, sites=sites)
