"""Layers whose tables are NN-LUT's networks: what a calibration trains, and what it trains it by.

Everything but the cores is what the unit computes, in real numbers: the input's codes, range
reduction and symmetry as they are, sums and products exact.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnlut_train.errors import UsageError
from nnlut_train.fit import fit
from nnlut_train.fit.nn import Network
from nnlut_train.fit.problem import Problem
from nnlut_train.functions import Function
from nnlut_train.modules import NormModule, SoftmaxModule
from nnlut_train.modules.codes import quantize
from nnlut_train.tables import PwlTable
from sim.golden import UnarySpec

from .cores import problem_of, reduced, unseen
from .measured import padded_rows, points_of
from .observe import Observation

__all__ = ["Core", "Layer", "NormLayer", "SoftmaxLayer", "UnaryLayer"]

#: Elements of rows that a layer holds at most.
ELEMENTS = 1 << 22
#: Arguments at which a network's distance from its function is measured.
GRID = 1024


def _started(table: PwlTable, problem: Problem, seed: int) -> tuple[Network, dict[str, Any]]:
    """Return the network that NN-LUT's fit found, and what its table notes."""
    if table.meta.get("method") != "nn" or "network" not in table.meta:
        table = fit(problem, "nn", seed=seed)
    try:
        arrays = [np.array(table.meta["network"][name], dtype=np.float64) for name in "mnb"]
        if arrays[0].ndim != 1 or len({array.shape for array in arrays}) > 1:
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError("a table's network must be three lists of as many numbers") from error
    return Network(*arrays), dict(table.meta)


class Core:
    """A table's network in training: ``NN(x) = sum of m_i ReLU(n_i x + b_i)`` (Eq. 5).

    As in `nnlut_train.fit.nn`, it is trained in units of the largest argument and value.

    Parameters
    ----------
    problem : Problem
        What the table is of.
    table : PwlTable
        The table: if NN-LUT's fit made it, the network goes on from that fit's.
    seed : int
        Of NN-LUT's fit, if another method made the table.
    """

    def __init__(self, problem: Problem, table: PwlTable, seed: int) -> None:
        self.problem = problem
        network, self.meta = _started(table, problem, seed)
        points = problem.points()
        self._x_unit = max(map(abs, problem.domain)) or 1.0
        self._y_unit = float(np.abs(points.target).max()) or 1.0
        self.parameters = [
            torch.from_numpy(values).requires_grad_()
            for values in (network.m / self._y_unit, network.n * self._x_unit, network.b.copy())
        ]
        # What the hardware limits the lines to; of a folded argument it limits what is unfolded.
        form = problem.output
        self._limits = (form.min * form.scale, form.max * form.scale)
        some = np.unique(np.linspace(0, points.x.size - 1, GRID).astype(np.int64))
        self._grid = torch.from_numpy(points.x[some]), torch.from_numpy(points.target[some])

    def __call__(self, x: Tensor) -> Tensor:
        """Evaluate at real arguments, float64 of any shape."""
        m, n, b = self.parameters
        hidden = torch.addmm(b, x.reshape(-1, 1) / self._x_unit, n[None]).relu()
        y = (hidden @ m).view(x.shape) * self._y_unit
        return y if self.problem.fold is not None else y.clamp(*self._limits)

    def distance(self) -> Tensor:
        """Return the mean absolute error over the mean absolute value, all arguments alike."""
        x, target = self._grid
        return (self(x) - target).abs().mean() / target.abs().mean().clamp(min=1e-300)

    def network(self) -> Network:
        """Return the network in the units of x and y."""
        m, n, b = (values.detach().numpy().copy() for values in self.parameters)
        return Network(m * self._y_unit, n / self._x_unit, b)


class Layer(ABC):
    """What one unit does at its sites, with networks in place of its tables.

    A site's error counts in units of its mean absolute result: every site counts alike.

    Attributes
    ----------
    cores : dict
        By the table that they are to replace.
    count : int
        Of rows that a batch is drawn from; 0 where a batch is everything.
    """

    cores: dict[str, Core]
    count: int = 0

    @abstractmethod
    def loss(self, rows: Tensor | None) -> Tensor:
        """Return the mean absolute error (L1) on a batch: a scalar.

        Parameters
        ----------
        rows : int64 tensor, optional
            Numbers of the rows, below `count`.
        """


class UnaryLayer(Layer):
    """A function of one element, against its exact results at the observed arguments.

    Parameters
    ----------
    spec : UnarySpec
        The unit.
    function : Function
        What it computes.
    observations : sequence of Observation
        Of its sites: their histograms.
    seed : int
        See `Core`.
    """

    def __init__(
        self, spec: UnarySpec, function: Function, observations: Sequence[Observation], seed: int
    ) -> None:
        ((name, table),) = spec.tables()
        self.cores = {name: Core(problem_of(spec, function), table, seed)}
        x, weight = [], []
        for at, density in map(points_of, observations):
            mean = density @ np.abs(function(at))
            x.append(at)
            weight.append(density / max(mean * len(observations), 1e-300))
        # Sites share the edges of their bins.
        x, which = np.unique(np.concatenate(x), return_inverse=True)
        self._weight = torch.from_numpy(np.bincount(which, np.concatenate(weight)))
        self._target = torch.from_numpy(function(x))
        how = reduced(spec, spec.input.quantize(x))
        self._argument, self._scale, self._offset = map(torch.from_numpy, how)
        self._limits = (spec.output.min * spec.output.scale, spec.output.max * spec.output.scale)

    def loss(self, rows: Tensor | None) -> Tensor:
        """Return the error at all points; see `Layer.loss`."""
        (core,) = self.cores.values()
        y = (self._offset + self._scale * core(self._argument)).clamp(*self._limits)
        return self._weight @ (y - self._target).abs()


class SoftmaxLayer(Layer):
    """A softmax against the exact one on the observed rows: exp and the reciprocal are networks.

    Parameters
    ----------
    module : SoftmaxModule
        The unit, of lines.
    observations, seed
        See `UnaryLayer`.
    """

    def __init__(
        self, module: SoftmaxModule, observations: Sequence[Observation], seed: int
    ) -> None:
        bare = module.bare
        function = Function("exp(-d)", "e^-d", lambda d: np.exp(-d), (0, 16), nn_signs=(-1, 1))
        ((exp_name, exp_table),) = bare.exp.tables("exp")
        ((name, table),) = bare.reciprocal.tables("reciprocal")
        self._exp = Core(problem_of(bare.exp, function), exp_table, seed)
        self._reciprocal = Core(problem_of(bare.reciprocal), table, seed)
        self.cores = {exp_name: self._exp, name: self._reciprocal}
        self._half = unseen(bare.reciprocal)
        how = reduced(bare.exp, bare.exp.input.codes())
        self._argument, self._scale = torch.from_numpy(how.argument), torch.from_numpy(how.scale)
        rows, weight = [], []
        for o in observations:
            kept = o.rows[: max(1, ELEMENTS // (len(observations) * o.longest))]
            rows += kept
            # A row of probabilities sums to 1.
            weight += [1.0 / (len(kept) * len(observations))] * len(kept)
        x = padded_rows(rows, -math.inf)
        self._masked = x == -math.inf
        self._codes = module.distances(module.quantize(x), self._masked)
        self._target = torch.softmax(x.double(), -1)
        self.count, self._weight = len(rows), torch.tensor(weight, dtype=torch.float64) * len(rows)

    def loss(self, rows: Tensor | None) -> Tensor:
        """Return the error on some rows; see `Layer.loss`."""
        codes = self._codes[rows]
        e = self._scale[codes] * self._exp(self._argument[codes])
        e = e.masked_fill(self._masked[rows], 0.0)
        total = e.sum(-1, keepdim=True).clamp(min=1e-6)
        # The normalisation: which octave it is has no derivative.
        octave = total.detach().log2().floor().exp2()
        inverse = self._reciprocal((total / octave - 1.0 - self._half).clamp(min=0.0)) / octave
        return self._weight[rows] @ (e * inverse - self._target[rows]).abs().sum(-1) / len(rows)


class NormLayer(Layer):
    """A norm against the exact one on the observed rows: 1/sqrt of the mantissa is a network.

    Parameters
    ----------
    module : NormModule
        The unit, of lines.
    observations : sequence of Observation
        Of its sites.
    fracs : sequence of int
        Fraction bits of each site's input codes.
    seed : int
        See `UnaryLayer`.
    """

    def __init__(
        self, module: NormModule, observations: Sequence[Observation], fracs: Sequence[int],
        seed: int,
    ) -> None:  # fmt: skip
        bare = module.bare
        ((name, table),) = bare.mantissa.tables("mantissa")
        self._core = Core(problem_of(bare), table, seed)
        self.cores = {name: self._core}
        parts: list[tuple[Tensor, ...]] = []
        for o, frac in zip(observations, fracs, strict=True):
            rows = [row for row in o.rows if len(row) == o.longest]
            x = torch.from_numpy(np.stack(rows[: max(1, ELEMENTS // (len(fracs) * o.longest))]))
            weight, bias = (
                None if v is None else v.detach().cpu().double() for v in (o.weight, o.bias)
            )
            exact = module.exact(x.double(), weight, bias, eps=o.eps)
            codes = quantize(x, replace(bare.input, frac=frac)).numpy()
            total = codes.sum(-1, keepdims=True)
            count = np.full_like(total, o.longest)
            exponent, window = bare.split(count, total, (codes**2).sum(-1, keepdims=True))
            # z is this times 1/sqrt(m).
            z = torch.from_numpy(
                np.ldexp((count * codes - total * bare.centred).astype(np.float64), -exponent)
            )
            z = z if weight is None else z * weight
            target = exact if bias is None else exact - bias
            share = 1.0 / max(float(exact.abs().sum()) * len(fracs), 1e-300)
            parts.append((
                torch.from_numpy(bare.mantissa.input.real(window)),
                torch.full((len(x),), share, dtype=torch.float64), z, target,
            ))  # fmt: skip
        longest = max(z.shape[-1] for *_, z, _ in parts)
        pad = torch.nn.functional.pad
        self._argument, self._weight = (torch.cat([p[i] for p in parts]) for i in (0, 1))
        self._z, self._target = (
            torch.cat([pad(p[i], (0, longest - p[i].shape[-1])) for p in parts]) for i in (2, 3)
        )
        self.count = len(self._z)
        self._weight *= self.count

    def loss(self, rows: Tensor | None) -> Tensor:
        """Return the error on some rows; see `Layer.loss`."""
        y = self._z[rows] * self._core(self._argument[rows])
        return self._weight[rows] @ (y - self._target[rows]).abs().sum(-1) / len(rows)
