"""NN-LUT's own calibration: the tables' networks learn from the reference layers' outputs.

J. Yu et al., "NN-LUT: Neural Approximation of Non-Linear Operations for Efficient Transformer
Inference", DAC 2022, arXiv 2112.02191: where direct replacement loses accuracy, the Transformer is
frozen, and only the approximator network's parameters are trained, so that the layer computed with
it comes near the layer's reference output on unlabelled data; then the network becomes a table
again (Eq. 7). The L1 loss, Adam at 1e-3 and the multi-step decay are those of the paper's training
from scratch. It calibrates with a tenth of the training set for 5 epochs. The rest is our choice:

* The data are the observed samples: up to `nnlut_train.network.observe.ROWS` rows a site, and of a
  function of one element its histogram, all of it at each step. `STEPS` steps of `BATCH` rows.
* One table serves several sites. An error counts in units of the site's mean absolute result, so
  that every site counts alike.
* The layer is the unit with its range reduction, symmetry, and input codes: only the cores are
  networks, and see what their tables will be asked for (of 2^f, the fractions that occur). Both
  tables of a softmax learn together, from its probabilities.
* `FLOOR` of the loss holds each network near its function, all arguments alike: else it is free
  where the sample has nothing, and other data have something there. Without (0), it is the paper's.
* The unit's formats stay. A line that they do not hold becomes the nearest one that they do.
* A unit keeps its tables if the new ones, rounded to its formats, are worse on the observed rows.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from hw.plan import Plan, PlannedUnit
from nnlut_train.errors import StepError, UsageError
from nnlut_train.fit import METHODS, nn
from nnlut_train.fit.making import quantize
from nnlut_train.fit.problem import Problem
from nnlut_train.metrics import table_errors
from nnlut_train.modules import NormModule, SoftmaxModule, module_of
from nnlut_train.tables import PwlTable
from sim.golden import NormSpec, SoftmaxSpec, UnarySpec
from sim.golden.writable import changed

from .learned import Core, Layer, NormLayer, SoftmaxLayer, UnaryLayer
from .measured import Served, input_fracs, layer_error, relative_errors
from .observe import Observation
from .training import check_steps

__all__ = ["BATCH", "FLOOR", "LEARNING_RATE", "STEPS", "train_tables"]

STEPS = 2000
BATCH = 128
LEARNING_RATE = nn.LEARNING_RATE
FLOOR = 0.1


def train_tables(
    plan: Plan, observations: Mapping[str, Observation], *, units: Collection[str] | None = None,
    steps: int = STEPS, lr: float = LEARNING_RATE, floor: float = FLOOR, seed: int = 0,
    progress: bool = False,
) -> Plan:  # fmt: skip
    """Train a plan's tables by what the layers are to give; sites and formats stay.

    A table that NN-LUT's fit made goes on from that fit's network; for any other, such a network is
    fitted first, which takes about a minute and is kept.

    Parameters
    ----------
    plan : Plan
        The plan; its units have tables of lines.
    observations : mapping of str to Observation
        By site: those that the plan was made from, or of more data.
    units : collection of str, optional
        Units to calibrate; by default all that serve a site.
    steps : int
        Steps of Adam, for each unit.
    lr : float
        Adam's learning rate at first.
    floor : float
        From 0 to below 1; see `FLOOR`.
    seed : int
        Of the batches, and of NN-LUT's fit where there was none.
    progress : bool
        Show progress on a terminal.

    Returns
    -------
    Plan
        Its ``meta["nnlut"]`` has of every unit ``steps``, ``lr``, ``floor``, ``seed``, whether the
        new tables are better and thus ``taken``, and by site the error ``before`` and with the new
        tables (``after``): the mean absolute error of the unit's own integer results over the mean
        absolute exact result, on all that was observed.

    Raises
    ------
    UsageError
        If a unit has nothing to train, a site was not observed, or an option is wrong.
    StepError
        If training diverges.
    """
    check_steps("steps", steps)
    if not isinstance(lr, int | float) or not 0 < lr < float("inf"):
        raise UsageError(f"lr must be a positive number, not {lr!r}")
    if not 0.0 <= floor < 1.0:
        raise UsageError(f"floor must be 0 to below 1, not {floor}")
    wanted = [name for name in plan.units if plan.served(name)] if units is None else list(units)
    options = {"steps": steps, "lr": lr, "floor": floor, "seed": seed}
    made, notes = dict(plan.units), dict(plan.meta.get("nnlut", {}))
    relative = dict(plan.meta.get("relative_errors", {}))
    for name in wanted:
        served = _served(plan, name, observations)
        old = plan.units[name]
        layer = _layer(name, old, served, seed)
        _train(name, layer, progress=progress, **options)
        unit = _with_networks(old, layer, options)
        before, after = (layer_error(each, served) for each in (old, unit))
        taken = sum(after.values()) < sum(before.values())
        notes[name] = options | {"taken": taken, "before": before, "after": after}
        if taken:
            made[name] = unit
            relative |= relative_errors(unit, served)
    meta = {**plan.meta, "nnlut": notes, "relative_errors": relative}
    return Plan(made, plan.sites, meta)


def _served(plan: Plan, name: str, observations: Mapping[str, Observation]) -> Served:
    """Return the sites of a unit, and what they saw."""
    if name not in plan.units:
        raise UsageError(f"a unit must be one of {', '.join(plan.units)}, not {name!r}")
    sites = plan.served(name)
    if not sites:
        raise UsageError(f"unit {name} must serve a site to be calibrated")
    for site, planned in sites.items():
        seen = observations.get(site)
        if seen is None or not (seen.rows if seen.longest else seen.counts.any()):
            raise UsageError(f"observations must have the site {site}, which unit {name} serves")
        if seen.op != planned.op:
            raise UsageError(f"site {site} must be a {planned.op}, as planned, not a {seen.op}")
    return [(planned, observations[site]) for site, planned in sites.items()]


def _layer(name: str, unit: PlannedUnit, served: Served, seed: int) -> Layer:
    """Return what is to be trained of a unit."""
    bare = unit.spec.bare
    seen = [observation for _, observation in served]
    if len(unit.request.ops) > 1 or unit.request.method != "nnlut" or unit.arch != "pwl":
        raise UsageError(
            f"unit {name} must be of one operation by tables of lines to be calibrated, "
            f"not of kind {bare.kind}, {unit.arch}"
        )
    if isinstance(bare, SoftmaxSpec | NormSpec):
        module = module_of(bare)
        if isinstance(module, SoftmaxModule):
            return SoftmaxLayer(module, seen, seed)
        assert isinstance(module, NormModule)
        return NormLayer(module, seen, input_fracs(unit, served), seed)
    assert isinstance(bare, UnarySpec)
    return UnaryLayer(bare, unit.request.function, seen, seed)


def _train(
    name: str, layer: Layer, *, steps: int, lr: float, floor: float, seed: int, progress: bool
) -> None:
    """Train a layer's networks, in one thread: how many share a sum decides how it is rounded."""
    generator = torch.Generator().manual_seed(seed)
    cores = list(layer.cores.values())
    optimizer = torch.optim.Adam([p for core in cores for p in core.parameters], lr=lr)
    milestones = [int(steps * fraction) for fraction in nn.MILESTONES]
    decay = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, nn.GAMMA)

    def distances() -> torch.Tensor:
        return torch.stack([core.distance() for core in cores]).mean()

    with nn.threads(1):
        every = torch.arange(layer.count) if layer.count else None
        with torch.enable_grad(), tqdm(
            total=steps, desc=f"calibrate {name}", unit="step", disable=None if progress else True
        ) as bar:  # fmt: skip
            order = torch.zeros(0, dtype=torch.int64)
            for _ in range(steps):
                if layer.count and not len(order):
                    order = torch.randperm(layer.count, generator=generator)
                rows, order = (order[:BATCH], order[BATCH:]) if layer.count else (None, order)
                loss = layer.loss(rows)
                if floor:
                    loss = (1.0 - floor) * loss + floor * distances()
                _check(name, loss)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                decay.step()
                bar.set_postfix(loss=f"{loss.item():.3g}", refresh=False)
                bar.update()
        with torch.no_grad():
            _check(name, layer.loss(every) + distances(), cores)


def _check(name: str, loss: torch.Tensor, cores: Sequence[Core] = ()) -> None:
    """Raise StepError unless the loss is finite, and so are the tables of the cores."""
    with np.errstate(all="ignore"):
        lines = [nn.to_float_table(core.network())[1:] for core in cores]
    # The loss alone does not tell: results are limited as the hardware's.
    if not torch.isfinite(loss) or not all(np.isfinite(line).all() for line in lines):
        raise StepError(f"calibrating {name} must not diverge: a smaller lr may help")


def _held(
    problem: Problem, breakpoints: np.ndarray, slopes: np.ndarray, intercepts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a real table whose coefficients the problem's formats hold.

    They were chosen for lines near the function. Of a short steep segment, slope or intercept may
    be beyond, and one limited without the other is another line: then the other one follows.
    """
    form, output = problem.argument, problem.output
    codes = form.real(form.grid())
    of = np.searchsorted(breakpoints, codes, side="right")
    slopes, intercepts = slopes.copy(), intercepts.copy()
    for i in np.unique(of):
        x = codes[of == i]
        y = slopes[i] * x + intercepts[i]
        y = y if problem.fold is not None else output.clip(y)
        if (held := problem.intercept.clip(intercepts[i])) != intercepts[i]:
            intercepts[i], slopes[i] = held, x @ (y - held) / max(x @ x, 1e-300)
        if (held := problem.slope.clip(slopes[i])) != slopes[i]:
            slopes[i], intercepts[i] = held, np.mean(y - held * x)
    return breakpoints, slopes, intercepts


def _table(core: Core, options: Mapping[str, Any]) -> PwlTable:
    """Return a network as a table of its problem's formats."""
    problem, network = core.problem, core.network()
    integers = quantize(problem, *_held(problem, *nn.to_float_table(network)))
    points = problem.points()
    error = np.abs(network(points.x) - points.target)
    meta = core.meta | {
        "revision": METHODS["nn"], "problem": problem.digest(), "weighted": False,
        "torch": str(torch.__version__), "train_tables": dict(options),
        "dead_breakpoints": problem.entries - 1 - len(integers[0]),
        "network": {name: getattr(network, name).tolist() for name in ("m", "n", "b")},
        "float_mse": float(np.mean(error**2)), "float_max": float(error.max()),
    }  # fmt: skip
    meta.pop("loss", None)  # of the training that this one goes on from
    table = problem.table(*integers, meta)
    meta["cost"] = problem.cost(table)
    meta["errors"] = table_errors(table, problem.target, problem.weights, codes=problem.codes)
    return table


def _with_networks(unit: PlannedUnit, layer: Layer, options: Mapping[str, Any]) -> PlannedUnit:
    """Return a unit whose tables are a layer's networks."""
    names = iter([name for name, _ in unit.spec.tables()])

    def change(table: Any) -> Any:
        core = layer.cores.get(next(names))
        return table if core is None else _table(core, options)

    spec = changed(unit.spec, change)
    return replace(unit, request=replace(unit.request, fit="nn"), spec=spec)
