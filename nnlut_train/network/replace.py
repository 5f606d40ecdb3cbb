"""Run a model on the hardware's arithmetic, without a change to its source."""

import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hw.choices import EPS, OPS
from hw.plan import Plan
from nnlut_train.errors import UsageError
from nnlut_train.functions import FUNCTIONS
from nnlut_train.modules import HardwareModule, NormModule, module_of

from .calls import Call
from .classes import norm_parameters
from .override import Override, compiled
from .report import Report

__all__ = ["check_sites", "functions_replaced", "replace", "replaced", "restore", "site_parts"]

_REPLACED: "weakref.WeakKeyDictionary[nn.Module, Override]" = weakref.WeakKeyDictionary()

_NOT_PLANNED = "not in the plan"
_COMPILED = "functions of compiled code are not met"


def site_parts(site: str) -> tuple[str, str]:
    """Return the module path and the operation that a site's name has."""
    *path, op = site.split(".")
    if op.isdecimal() and path:
        op = path.pop()
    return ".".join(path), op


class _Planned:
    """The handler that computes what a plan has units for."""

    def __init__(self, plan: Plan, report: Report, strict: bool) -> None:
        self.plan, self.report, self.strict = plan, report, strict
        # By unit and function: their sites share the module.
        self.modules: dict[tuple[str, str], HardwareModule] = {
            (name, op): module_of(unit.spec, FUNCTIONS.get(op), number=number)
            for name, unit in plan.units.items()
            for number, op in enumerate(unit.request.ops)
        }
        self.checked: set[str] = set()

    def __call__(self, site: str, call: Call) -> Tensor | None:
        """Return the unit's result; None where the plan has none."""
        planned = self.plan.sites.get(site)
        if planned is None:
            self.left(site, call.op, _NOT_PLANNED)
            return None
        module = self.modules[planned.unit, planned.op]
        if isinstance(module, NormModule):
            weight, bias = (
                _given(values, codes, fill, call.x)
                for values, codes, fill in (
                    (call.weight, planned.gamma, 1.0), (call.bias, planned.beta, 0.0),
                )
            )  # fmt: skip
            if site not in self.checked:
                eps = self.plan.units[planned.unit].request.eps
                if call.eps != eps:
                    raise UsageError(
                        f"the layer's epsilon must be the plan's, {eps:g}, not {call.eps:g}"
                    )
                _check_row(module, "gamma", weight, planned.gamma)
                _check_row(module, "beta", bias, planned.beta)
                self.checked.add(site)
            y = module(call.x, weight, bias, input_frac=planned.input_frac)
        else:
            y = module(call.x)
        self.report.replaced[site] = planned.unit
        self.report.count(site)
        return y

    def left(self, site: str, op: str, why: str) -> None:
        """Note an operation that runs as before; see `replace`."""
        self.note(site, op, why)
        self.report.count(site)

    def note(self, site: str, op: str, why: str) -> None:
        """Note what cannot be replaced, before it has run."""
        if self.strict:
            raise UsageError(f"site {site}: {op} cannot run on the hardware: {why}")
        if site not in self.report.left and why != _NOT_PLANNED:
            warnings.warn(f"site {site}: {op} is left as it is: {why}", stacklevel=2)
        self.report.left[site] = why


def _given(values: Tensor | None, codes: tuple[int, ...] | None, fill: float, x: Tensor) -> Any:
    """Return a layer's gain or offset; where only the plan has one, that which does nothing."""
    if values is not None or codes is None:
        return values
    return torch.full(x.shape[-1:], fill, device=x.device)


def _check_row(
    module: NormModule, name: str, values: Tensor | None, wanted: tuple[int, ...] | None
) -> None:
    """Raise UsageError unless a layer's gain or offset is that which a plan was made for."""
    if wanted is None:
        return
    if values.numel() != len(wanted):
        raise UsageError(
            f"the layer must have {len(wanted)} elements, as the plan, not {values.numel()}"
        )
    if module.affine_codes(name, values).tolist() != list(wanted):
        raise UsageError(
            f"the layer's {'weight' if name == 'gamma' else 'bias'} must be what the plan has as "
            f"{name}: it was made for other weights; calibrate again, or take "
            "nnlut_train.network.updated(plan, model)"
        )


def check_sites(model: nn.Module, plan: Plan) -> None:
    """Raise UsageError unless the model has a module for each site of a plan."""
    paths = dict(model.named_modules())
    for site, planned in plan.sites.items():
        path, op = site_parts(site)
        if op != planned.op:
            raise UsageError(f"site {site}: must end in .{planned.op}, its operation")
        if path not in paths:
            raise UsageError(f"site {site}: the model must have a module {path!r}, but has none")
        if planned.gamma is None or (weight := norm_parameters(paths[path])[0]) is None:
            continue
        if weight.numel() != len(planned.gamma):
            raise UsageError(
                f"site {site}: the layer must have {len(planned.gamma)} elements, as the plan, "
                f"not {weight.numel()}"
            )


def _attach(
    model: nn.Module, handler: Callable[..., Tensor | None], left: Callable[..., None]
) -> None:
    _REPLACED[model] = Override(model, handler, left)


def replace(model: nn.Module, plan: Plan, *, strict: bool = False) -> Report:
    """Let a model compute with the plan's units, in place, until `restore`.

    Every way to write an operation is met: modules, functional calls, methods of tensors, and
    ``scaled_dot_product_attention``, which is expressed through softmax. Gradients pass straight
    through. Copies of the model (``copy.deepcopy``) are to be made before. What a model calls that
    torch does not know as its own function, such as a kernel of another package, cannot be met, and
    neither can what was compiled: of the latter, the report tells.

    Parameters
    ----------
    model : nn.Module
        The model.
    plan : Plan
        Units and sites; see `nnlut_train.network.calibrate`.
    strict : bool
        Refuse every non-linear operation that is not in the plan. Otherwise, what no unit computes
        is left, with a warning, and what the plan leaves out is left; the report has both.

    Returns
    -------
    Report
        It is filled while the model runs.

    Raises
    ------
    UsageError
        If the plan does not fit the model: the message names the site. From the model's own call:
        if a row is longer than its unit's, a norm's weights are not the plan's, or for `strict`.
    """
    check_sites(model, plan)
    report = Report(tuple(plan.sites))
    handler = _Planned(plan, report, strict)
    for path in compiled(model):
        handler.note(path or "the model", "a compiled module", _COMPILED)
    _attach(model, handler, handler.left)
    return report


def restore(model: nn.Module) -> None:
    """Let a model compute as it did before `replace`.

    Raises
    ------
    UsageError
        If it was not replaced.
    """
    if model not in _REPLACED:
        raise UsageError("the model must be one that replace() was called on")
    _REPLACED.pop(model).remove()


@contextmanager
def replaced(model: nn.Module, plan: Plan, *, strict: bool = False) -> Iterator[Report]:
    """Do as `replace`, and `restore` at the end of the block."""
    report = replace(model, plan, strict=strict)
    try:
        yield report
    finally:
        restore(model)


def _names_site(model: nn.Module, name: str) -> bool:
    """Return whether a name can be that of a site of a model."""
    path, op = site_parts(name)
    return op in OPS and path in dict(model.named_modules())


@contextmanager
def functions_replaced(
    model: nn.Module, functions: Mapping[str, Callable[..., Tensor]]
) -> Iterator[Report]:
    """Let a model compute with functions of one's own, for what no unit is built for.

    Parameters
    ----------
    model : nn.Module
        The model.
    functions : mapping of str to callable
        By site, or by operation. ``f(x)``; of layernorm and rmsnorm, ``f(x, weight, bias, eps)``.
        Rows are in the last dimension; masked logits are -inf, or below
        `nnlut_train.modules.softmax.MASKED`.

    Raises
    ------
    UsageError
        If a name is neither.
    """
    for name in functions:
        if name not in OPS and not _names_site(model, name):
            raise UsageError(f"functions must be of sites, or of {', '.join(OPS)}, not of {name!r}")
    report = Report()
    report.left.update((path or "the model", _COMPILED) for path in compiled(model))

    def handle(site: str, call: Call) -> Tensor | None:
        name = site if site in functions else call.op
        report.count(site)
        if name not in functions:
            report.left[site] = "no function was given"
            return None
        report.replaced[site] = name
        if call.op in EPS:
            return functions[name](call.x, call.weight, call.bias, call.eps)
        return functions[name](call.x)

    def left(site: str, op: str, why: str) -> None:
        report.left[site] = why
        report.count(site)

    _attach(model, handle, left)
    try:
        yield report
    finally:
        restore(model)
