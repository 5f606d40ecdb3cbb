"""NN-LUT: train a small ReLU network, and read the table off its kinks.

J. Yu et al., "NN-LUT: Neural Approximation of Non-Linear Operations for Efficient Transformer
Inference", DAC 2022, arXiv 2112.02191. The network (Eq. 5), its exact conversion (Eq. 7), L1 loss,
Adam at 1e-3 with multi-step decay, 100K uniform samples, the ranges and the initial signs (Table 1)
are the paper's. It does not give the following, which is our choice:

* `STEPS` steps of `BATCH` samples, drawn without replacement within an epoch; the learning rate is
  multiplied by `GAMMA` after each of `MILESTONES` (fractions of all steps).
* Training runs on ``x / max|x|`` and ``y / max|y|``: a change of units, which keeps signs and
  kinks, but lets one learning rate fit ranges of 10 and of 1024.
* At first the breakpoints are spread over the range, one in each of as many equal strata as there
  are neurons: with independent ones, GELU often ends in a local optimum that has none in its left
  tail. ``m`` is normal with variance ``1 / (entries - 1)``. Where both signs are given, all
  breakpoints lie on one side of 0, where the function bends most: there the strata are equal in
  the logarithm of the distance from 0 (at least `NEAREST` of the farthest), ``b`` is standard
  normal with its sign, and ``n`` follows. Elsewhere the strata are equal in x, ``n`` is standard
  normal with its sign, and ``b`` follows.

The loss is L1 whatever the problem's objective and weights are: that is the published method.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from ..errors import UsageError
from .making import quantize

if TYPE_CHECKING:
    from . import Problem

__all__ = ["Network", "solve", "threads", "to_float_table", "train"]

SAMPLES = 100_000
BATCH = 2000  # divides SAMPLES: an epoch is 50 steps
STEPS = 80_000
LEARNING_RATE = 1e-3
MILESTONES = (0.5, 0.75, 0.9)
GAMMA = 0.1
NEAREST = 2.0**-10


@dataclass(frozen=True, eq=False)
class Network:
    """The approximator ``NN(x) = sum of m_i ReLU(n_i x + b_i)`` (Eq. 5); no output bias.

    `m`, `n`, `b` are float64 arrays of shape (entries - 1,), in the units of x and y; `loss` is
    the mean absolute error over the training samples, NaN if it was not trained.
    """

    m: np.ndarray
    n: np.ndarray
    b: np.ndarray
    loss: float = np.nan

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Evaluate at float64 `x` of any shape."""
        x = np.asarray(x, dtype=np.float64)
        return np.maximum(x[..., None] * self.n + self.b, 0.0) @ self.m


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise UsageError(
            "--fit nn needs torch, which is not installed: pip install 'nnlut[train]'"
        ) from error
    return torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch compute in `count` threads: how many share a sum decides how it is rounded."""
    torch = _torch()
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _initial(
    torch: Any, train_range: tuple[float, float], count: int, signs: tuple[int, int], generator: Any
) -> tuple[Any, Any, Any]:
    """Return the initial m, n, b (float64 tensors of `count`); see the module's text."""
    (low, high), (n_sign, b_sign) = train_range, signs
    options = {"generator": generator, "dtype": torch.float64}
    strata = (torch.arange(count, dtype=torch.float64) + torch.rand(count, **options)) / count
    size = torch.randn(count, **options)
    m = torch.randn(count, **options) / count**0.5
    if n_sign and b_sign:
        side = -n_sign * b_sign  # the sign of all breakpoints -b/n
        near, far = sorted(max(side * end, 0.0) for end in train_range)
        if not far:
            near, far = sorted(abs(end) for end in train_range)
        near = max(near, far * NEAREST)
        b = b_sign * size.abs()
        return m, -b / (side * near * (far / near) ** strata), b
    d = low + (high - low) * strata
    if n_sign or b_sign:
        size = size.abs() * (n_sign or -b_sign * d.sign())
    return m, size, -size * d


def train(
    function: Callable[[np.ndarray], np.ndarray], train_range: tuple[float, float], entries: int,
    signs: tuple[int, int] = (0, 0), seed: int = 0, progress: bool = False,
    steps: int | None = None,
) -> Network:  # fmt: skip
    """Train the network on one function.

    Deterministic: it has its own random generator and computes in one thread. Another torch
    version or another kind of processor may round differently.

    Parameters
    ----------
    function : callable
        float64 array to float64 array of the same shape.
    train_range : tuple of float
        ``(lo, hi)``: the samples are uniform between them.
    entries : int
        Table entries: one more than hidden neurons.
    signs : tuple of int
        Initial signs of n and b (Table 1): +1, -1, or 0 for random. If no breakpoint inside the
        range can have them, all start outside. Training may change them.
    seed, progress
        See `nnlut_train.fit.fit`.
    steps : int, optional
        `STEPS` by default.

    Raises
    ------
    UsageError
        If torch is missing, or the function is not finite on the range.
    """
    torch = _torch()
    low, high = train_range
    steps = STEPS if steps is None else steps
    epoch = SAMPLES // BATCH
    generator = torch.Generator().manual_seed(seed)
    with threads(1):
        x = low + (high - low) * torch.rand(SAMPLES, generator=generator, dtype=torch.float64)
        y = torch.from_numpy(np.array(function(x.numpy()), dtype=np.float64))
        if not y.isfinite().all():
            raise UsageError(f"the function must be finite on the training range ({low}, {high})")
        x_unit, y_unit = max(abs(low), abs(high)), y.abs().max().item() or 1.0
        x, y = x / x_unit, y / y_unit
        start = _initial(torch, (low / x_unit, high / x_unit), entries - 1, signs, generator)
        m, n, b = (parameter.requires_grad_() for parameter in start)
        optimizer = torch.optim.Adam((m, n, b), lr=LEARNING_RATE, fused=True)
        milestones = [int(steps * fraction) for fraction in MILESTONES]
        decay = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, GAMMA)

        def l1(x: Any, y: Any) -> Any:
            return (m @ torch.relu(torch.addmm(b[:, None], n[:, None], x[None])) - y).abs().mean()

        with torch.enable_grad(), tqdm(
            total=steps, desc="nn", unit="step", disable=None if progress else True
        ) as bar:  # fmt: skip
            for step in range(steps if entries > 1 else 0):
                if step % epoch == 0:
                    order = torch.randperm(SAMPLES, generator=generator)
                    batches = zip(x[order].split(BATCH), y[order].split(BATCH), strict=True)
                optimizer.zero_grad()
                loss = l1(*next(batches))
                loss.backward()
                optimizer.step()
                decay.step()
                if step % epoch == epoch - 1:
                    bar.set_postfix(loss=f"{loss.item() * y_unit:.2e}", refresh=False)
                    bar.update(epoch)
        loss = l1(x, y).item() * y_unit
        m, n, b = (parameter.detach().numpy() for parameter in (m, n, b))
        return Network(m * y_unit, n / x_unit, b, loss)


def to_float_table(network: Network) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convert a network to the table that equals it (Eq. 7).

    Returns three float64 arrays: the K breakpoints ``d_i = -b_i / n_i`` of the neurons with
    ``n_i != 0``, ascending, equal ones kept; and the K + 1 slopes and intercepts between them: the
    sums of ``m_i n_i`` and of ``m_i b_i`` over the active neurons. A neuron is active right of
    ``d_i`` for ``n_i > 0``, left of it for ``n_i < 0``, everywhere or nowhere for ``n_i = 0``.
    """
    bent = network.n != 0
    m, n, b = network.m[bent], network.n[bent], network.b[bent]
    with np.errstate(over="ignore"):  # a breakpoint may be infinitely far away
        d = -b / n
    order = np.argsort(d, kind="stable")
    m, n, b = m[order], n[order], b[order]
    right = np.arange(len(n) + 1)[:, None] > np.arange(len(n))  # segment is right of d_i
    active = right == (n > 0)
    constant = network.m[~bent] @ np.maximum(network.b[~bent], 0.0)
    return d[order], active @ (m * n), active @ (m * b) + constant


def solve(
    problem: "Problem", seed: int, progress: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Fit `problem` as NN-LUT does: train, convert, and round to integers.

    It trains on the part of ``problem.nn_range`` that the input codes reach, and on the codes'
    whole range if there is none. It raises what `train` raises.

    Returns
    -------
    breakpoints, slopes, intercepts : int64 array
        See `nnlut_train.fit.making.quantize`.
    notes : dict
        Torch's version, training range and steps, final L1 ``loss``, the network's error over all
        codes before rounding (``float_mse``, ``float_max``; real numbers), how many of the
        ``entries - 1`` breakpoints are dead (outside the codes, or on one code with another), and
        the ``network`` itself: a calibration goes on from it, see `nnlut_train.network.nnlut`.
    """
    points = problem.points()
    low, high = problem.domain
    if problem.nn_range is not None:
        inner = max(low, float(problem.nn_range[0])), min(high, float(problem.nn_range[1]))
        low, high = inner if inner[0] < inner[1] else (low, high)

    network = train(problem.core, (low, high), problem.entries, problem.nn_signs, seed, progress)
    breakpoints, slopes, intercepts = quantize(problem, *to_float_table(network))
    error = np.abs(network(points.x) - points.target)
    notes = {
        "torch": str(_torch().__version__), "train_range": [low, high], "steps": STEPS,
        "dead_breakpoints": problem.entries - 1 - len(breakpoints), "loss": network.loss,
        "network": {name: getattr(network, name).tolist() for name in ("m", "n", "b")},
        "float_mse": float(np.mean(error**2)), "float_max": float(error.max()),
    }  # fmt: skip
    return breakpoints, slopes, intercepts, notes
