"""Fine-tune a model on the hardware's arithmetic, with straight-through gradients.

GQA-LUT (Dong et al., DAC 2024, arXiv 2403.19591) fine-tunes so with the task's labels. Network
Recasting (Yu, Kang and Choi, AAAI 2019, arXiv 1809.05262) ends with fine-tuning by the teacher's
logits and the labels: `distillation`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from tqdm import tqdm

from nnlut_train.errors import UsageError

from .observe import run_batch
from .training import (
    Run,
    Session,
    apart,
    check_steps,
    epochs_of,
    evaluating,
    kept_flags,
    output_of,
    repeatable,
)

__all__ = ["FinetuneReport", "Loss", "distillation", "finetune"]

#: ``loss(student, batch)`` returns the loss, a scalar.
Loss = Callable[[nn.Module, Any], Tensor]


@dataclass(frozen=True)
class FinetuneReport:
    """What fine-tuning did.

    Attributes
    ----------
    before, after : float
        Mean loss of the batches in evaluation mode, before and after.
    epochs : tuple of float
        Mean loss of the steps of every epoch.
    """

    before: float
    after: float
    epochs: tuple[float, ...]

    def __str__(self) -> str:
        count = len(self.epochs)
        return f"loss {self.before:.6g}, after {count} epochs {self.after:.6g}"


def distillation(
    teacher: nn.Module,
    *,
    call: Run | None = None,
    labels: Callable[[Any], Tensor] | None = None,
    weight: float = 1.0,
) -> Loss:
    """Return Network Recasting's loss of the last fine-tuning.

    It is the mean squared error of the student's logits against the teacher's, plus the labels'
    cross-entropy where there are labels.

    Parameters
    ----------
    teacher : nn.Module
        The exact model. It is run in evaluation mode.
    call : callable, optional
        ``call(model, batch)`` runs a batch; by default see `nnlut_train.network.observe.run_batch`.
    labels : callable, optional
        ``labels(batch)`` returns the classes, int64 of shape (n,). Without it, data need none.
    weight : float
        Of the cross-entropy.

    Raises
    ------
    UsageError
        From the loss: if student and teacher share parameters or differ in the shape of the result.
    """

    def loss(student: nn.Module, batch: Any) -> Tensor:
        with evaluating(teacher):
            wanted = output_of(run_batch(teacher, batch, call))
        found = output_of(run_batch(student, batch, call))
        if found.shape != wanted.shape:
            raise UsageError(
                f"the student's result must have the teacher's shape, {tuple(wanted.shape)}, "
                f"not {tuple(found.shape)}"
            )
        total = mse_loss(found, wanted)
        return total if labels is None else total + weight * cross_entropy(found, labels(batch))

    loss.teacher = teacher
    return loss


def _mean(student: nn.Module, batches: Iterable[Any], loss: Loss) -> float:
    """Return the mean loss of the batches in evaluation mode."""
    with evaluating(student):
        losses = [loss(student, batch).item() for batch in batches]
    if not losses:
        raise UsageError("batches must be at least one, not none")
    return sum(losses) / len(losses)


def finetune(
    student: nn.Module,
    batches: Iterable[Any],
    *,
    loss: Loss,
    epochs: int,
    lr: float = 1e-3,
    params: Iterable[nn.Parameter] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> FinetuneReport:
    """Train a model that `replace` was called on, in place.

    It is trained in the mode that it is in: dropout is what ``student.train()`` asks for. Which
    parameters learn (``requires_grad``) is afterwards what it was. Gain and offset of norms learn,
    too, and are quantised at every step to the formats of gamma and beta; a plan has those of
    before, until `nnlut_train.network.calibrate.updated` takes over what they have become.
    Deterministic by the seed on one machine with one version of torch and one number of threads.

    Parameters
    ----------
    student : nn.Module
        The model.
    batches : iterable
        Batches of any kind that `loss` takes. A sequence is shuffled in every epoch.
    loss : callable
        ``loss(student, batch)`` returns a scalar: the task's loss, or `distillation`.
    epochs : int
        Passes over the batches.
    lr : float
        Learning rate of Adam; a tenth of it after each third of the steps.
    params : iterable of Parameter, optional
        What is trained; by default all parameters that learn (``requires_grad``).
    seed : int
        Decides the order of the batches, and dropout.
    progress : bool
        Show the progress on a terminal.

    Raises
    ------
    UsageError
        If an argument is not as above; the parameters are as they were.
    StepError
        If the loss is no longer finite.
    """
    check_steps("epochs", epochs)
    if (teacher := getattr(loss, "teacher", None)) is not None:
        apart(student, teacher)
    batches = repeatable(batches)
    chosen = list(params) if params is not None else []
    if params is None:
        chosen = [p for p in student.parameters() if p.requires_grad]
    own = {id(parameter) for parameter in student.parameters()}
    if any(id(parameter) not in own for parameter in chosen):
        raise UsageError("params must be parameters of the student")
    generator = torch.Generator().manual_seed(seed)
    devices = list({p.device for p in student.parameters() if p.device.type == "cuda"})
    with kept_flags(student), torch.random.fork_rng(devices=devices), torch.enable_grad():
        torch.manual_seed(seed)
        before = _mean(student, batches, loss)
        count = sum(1 for _ in batches)
        session = Session(student, chosen, lr, epochs * count, "the student")
        losses = []
        stream = epochs_of(batches, generator)
        with tqdm(
            total=epochs * count, desc="fine-tuning", unit="step",
            disable=None if progress else True,
        ) as bar:  # fmt: skip
            for _ in range(epochs):
                values = []
                for _ in range(count):
                    values.append(session.step(loss(student, next(stream))))
                    bar.update()
                losses.append(sum(values) / count)
                bar.set_postfix(loss=f"{losses[-1]:.3g}", refresh=False)
        session.end()
        after = _mean(student, batches, loss)
    return FinetuneReport(before, after, tuple(losses))
