"""What recasting and fine-tuning bring back of what deliberately poor tables lost.

Poor: four segments of equal width over a range that is far wider than the arguments, as when a
published wide range is taken literally. The units are what the hardware would compute.
"""

import copy
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from hw.design import design
from hw.plan import Plan, PlannedSite, PlannedUnit
from hw.request import Request
from nnlut_train.fit.nn import threads
from nnlut_train.network.finetune import distillation, finetune
from nnlut_train.network.recast import recast
from nnlut_train.network.replace import functions_replaced, replace, site_parts

from . import vit

__all__ = ["ENTRIES", "Outcome", "experiment", "plan"]

ENTRIES = 4
BATCH = 32
STEPS = 100
EPOCHS = 5
LR = 1e-3

_LINES = {"entries": ENTRIES, "fit": "linear"}
#: The units. Rows are of 17 scores and of 48 elements. LayerNorm's 1/sqrt has its range reduced, as
#: its hardware always has: it is poor in entries alone.
REQUESTS = {
    # exp over (-32, 0): the first of four lines has to do for (-8, 0).
    "softmax": Request("softmax", bits=8, input_frac=3, length=32, fold="none", **_LINES),
    # (-16, 16), cut at -8, 0 and 8.
    "gelu": Request("gelu", bits=8, input_frac=3, output_frac=3, fold="none", **_LINES),
    "layernorm": Request("layernorm", bits=16, length=64, tables="writable", **_LINES),
}


@dataclass(frozen=True)
class Outcome:
    """Test accuracies (0 to 1) of one seed.

    Attributes
    ----------
    seed : int
        The seed.
    exact : float
        The trained model.
    poor : float
        Its copy on the poor tables.
    recast : float
        That one recast, with inputs alone.
    finetuned : float
        That one fine-tuned, with the teacher's logits and labels.
    direct : float
        The copy fine-tuned at once, without recasting.
    seconds : float
        Time of everything but the training of the exact model.
    """

    seed: int
    exact: float
    poor: float
    recast: float
    finetuned: float
    direct: float
    seconds: float

    @property
    def lost(self) -> float:
        """What the poor tables lost."""
        return self.exact - self.poor

    def recovered(self, accuracy: float) -> float:
        """Return which share of what was lost an accuracy has again; NaN if nothing was lost."""
        return (accuracy - self.poor) / self.lost if self.lost else float("nan")


def plan(model: nn.Module, images: torch.Tensor) -> Plan:
    """Return the plan that serves every site of a model with the poor units.

    Parameters
    ----------
    model : nn.Module
        The exact model; it is run once, to find its sites.
    images : Tensor
        What it is run on.
    """
    with functions_replaced(model, {}) as found:
        vit.logits(model, images)
    units = {}
    for op, request in REQUESTS.items():
        (arch,) = request.wanted
        units[op] = PlannedUnit(request, arch, design(request, arch))
    ops = {site: site_parts(site)[1] for site in found.left}
    sites = {site: PlannedSite(op, op) for site, op in ops.items()}
    return Plan(units, sites, {"model": "vit-digits", "tables": "poor"})


def experiment(
    seed: int,
    *,
    folder: Path | str | None = None,
    progress: bool = False,
    steps: int = STEPS,
    epochs: int = EPOCHS, recipe: vit.Recipe = vit.RECIPE,
) -> Outcome:  # fmt: skip
    """Put the poor tables into a trained model, recast it, and fine-tune it.

    Recasting has the training images without their labels, fine-tuning has the labels as well; the
    test images serve for the accuracies only. Deterministic by the seed, in one thread.

    Parameters
    ----------
    seed : int
        See `vit.train`; it also decides the order of the batches.
    folder, progress, recipe
        See `vit.train`.
    steps : int
        Of recasting, for each block.
    epochs : int
        Of fine-tuning.

    Raises
    ------
    UsageError
        If scikit-learn is missing.
    """
    digits = vit.data(seed)
    teacher = vit.train(seed, folder=folder, recipe=recipe, progress=progress)
    start = time.perf_counter()
    with threads(1):
        poor = plan(teacher, digits.calibration)
        inputs = digits.train.split(BATCH)
        labelled = list(zip(inputs, digits.train_labels.split(BATCH), strict=True))
        loss = distillation(
            teacher, call=lambda model, batch: model(batch[0]), labels=lambda batch: batch[1]
        )

        def accuracy(model: nn.Module) -> float:
            return vit.accuracy(model, digits.test, digits.test_labels)

        def tuned(model: nn.Module) -> float:
            finetune(model, labelled, loss=loss, epochs=epochs, lr=LR, seed=seed, progress=progress)
            return accuracy(model)

        exact = accuracy(teacher)
        student, other = copy.deepcopy(teacher), copy.deepcopy(teacher)
        replace(student, poor, strict=True)
        replace(other, poor, strict=True)
        before = accuracy(student)
        recast(student, teacher, None, inputs, steps=steps, lr=LR, seed=seed, progress=progress)
        after = accuracy(student)
        return Outcome(
            seed, exact, before, after, tuned(student), tuned(other), time.perf_counter() - start
        )
