"""What fine-tuning and recasting have in common: results, batches, flags that are put back."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nnlut_train.errors import StepError, UsageError

__all__ = [
    "Run", "Session", "apart", "check_steps", "epochs_of", "evaluating", "kept_flags", "output_of",
    "repeatable",
]  # fmt: skip

#: ``call(model, batch)`` runs a model on a batch and returns what the model returns.
Run = Callable[[nn.Module, Any], Any]


def output_of(result: Any) -> Tensor:
    """Return the tensor that a module's result is about.

    That is the result itself, its ``logits``, or its first item, as in Hugging Face's outputs.

    Raises
    ------
    UsageError
        If there is none.
    """
    found = result
    if not isinstance(found, Tensor):
        found = getattr(result, "logits", None)
    if found is None and isinstance(result, Mapping) and result:
        found = next(iter(result.values()))
    if found is None and isinstance(result, Sequence) and len(result):
        found = result[0]
    if not isinstance(found, Tensor):
        raise UsageError(
            "a module's result must be a tensor, have logits, or have a tensor first, "
            f"not be a {type(result).__name__}"
        )
    return found


def repeatable(batches: Iterable[Any]) -> Iterable[Any]:
    """Return batches that can be gone through again; what is no sequence is kept in memory once.

    A data loader stays what it is and shuffles by its own rules.

    Raises
    ------
    UsageError
        If there are none.
    """
    if isinstance(batches, Tensor | Mapping | str):
        raise UsageError(f"batches must be an iterable of batches, not a {type(batches).__name__}")
    if iter(batches) is batches:
        batches = list(batches)
    if isinstance(batches, Sequence) and not len(batches):
        raise UsageError("batches must be at least one, not none")
    return batches


def epochs_of(batches: Iterable[Any], generator: torch.Generator) -> Iterator[Any]:
    """Yield the batches without end; of a sequence, every epoch in another order."""
    while True:
        count = 0
        if isinstance(batches, Sequence):
            for index in torch.randperm(len(batches), generator=generator).tolist():
                yield batches[index]
                count += 1
        else:
            for batch in batches:
                yield batch
                count += 1
        if not count:
            raise UsageError("batches must be at least one, not none")


def check_steps(name: str, value: Any) -> None:
    """Raise UsageError unless `value` is an integer of at least 1."""
    if type(value) is not int or value < 1:
        raise UsageError(f"{name} must be an integer of at least 1, not {value!r}")


def apart(student: nn.Module, teacher: nn.Module) -> None:
    """Raise UsageError if two models share a parameter: training one would change the other."""
    shared = {id(parameter) for parameter in teacher.parameters()}
    for name, parameter in student.named_parameters():
        if id(parameter) in shared:
            raise UsageError(
                f"the student must have parameters of its own, but {name} is the teacher's: "
                "copy.deepcopy the teacher before replace()"
            )


@contextmanager
def kept_flags(*models: nn.Module) -> Iterator[None]:
    """Put back, at the end, whether the models' modules train and their parameters learn."""
    modules = [(module, module.training) for model in models for module in model.modules()]
    learn = [(p, p.requires_grad) for model in models for p in model.parameters()]
    try:
        yield
    finally:
        for module, training in modules:
            module.training = training
        for parameter, requires_grad in learn:
            parameter.requires_grad_(requires_grad)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run a model as for inference: without dropout and its kind, and without gradients."""
    with kept_flags(model), torch.no_grad():
        model.eval()
        yield


class Session:
    """Adam on some parameters of a model, all others held; the learning rate falls twice.

    Adam and StepLR, by `GAMMA` after each third of the steps, are Network Recasting's.

    Parameters
    ----------
    model : nn.Module
        The model.
    parameters : list of Parameter
        Those to train; from now on, the model's others do not learn.
    lr : float
        Adam's learning rate at first.
    steps : int
        Steps in all.
    what : str
        What is trained, for messages.

    Raises
    ------
    UsageError
        If `lr` is no positive number, or there is nothing to train.
    """

    #: What the learning rate is multiplied by: PyTorch's default, as in the paper's code.
    GAMMA = 0.1

    def __init__(
        self, model: nn.Module, parameters: list[nn.Parameter], lr: float, steps: int, what: str
    ) -> None:
        if not isinstance(lr, int | float) or not 0 < lr < math.inf:
            raise UsageError(f"lr must be a positive number, not {lr!r}")
        if not parameters:
            raise UsageError(f"{what} must have parameters to train, but has none")
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        for parameter in parameters:
            parameter.requires_grad_(True)
        self.what, self.count = what, 0
        self.optimizer = torch.optim.Adam(parameters, lr=lr)
        self.schedule = torch.optim.lr_scheduler.StepLR(
            self.optimizer, max(1, math.ceil(steps / 3)), self.GAMMA
        )

    def step(self, loss: Tensor) -> float:
        """Take a step down `loss`, a scalar, and return what it was.

        Raises
        ------
        StepError
            If it is not finite.
        """
        value = loss.item()
        if not math.isfinite(value):
            raise StepError(
                f"training {self.what}: the loss of step {self.count} is {value}: "
                "a smaller lr may help"
            )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.count += 1
        return value

    def end(self) -> None:
        """Leave no gradients behind."""
        self.optimizer.zero_grad()
