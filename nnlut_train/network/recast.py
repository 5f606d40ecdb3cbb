"""Recast a model for the hardware's arithmetic, block by block.

J. Yu, S. Kang and K. Choi, "Network Recasting: A Universal Method for Network Architecture
Transformation", AAAI 2019, arXiv 1809.05262. There a block is replaced by one of another type; here
by the same block on the hardware's arithmetic. One block after the other is trained, alone, until
what comes out of the *next* block is what the teacher has there: the next block decides which of a
block's errors matter. It needs inputs, but no labels. The paper then fine-tunes everything; see
`nnlut_train.network.finetune.distillation`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from tqdm import tqdm

from nnlut_train.errors import UsageError

from .observe import run_batch
from .training import (
    Run,
    Session,
    apart,
    check_steps,
    epochs_of,
    kept_flags,
    output_of,
    repeatable,
)

__all__ = ["BlockReport", "RecastReport", "blocks_of", "recast"]


@dataclass(frozen=True)
class BlockReport:
    """What recasting a block did.

    Attributes
    ----------
    block : str
        The block's module name.
    target : str
        Where the teacher was matched: the next block's name, or ``the output``.
    before, after : float
        Mean squared error there, over all batches.
    """

    block: str
    target: str
    before: float
    after: float


@dataclass(frozen=True)
class RecastReport:
    """What recasting did, block by block, in the order of training."""

    blocks: tuple[BlockReport, ...]

    def __str__(self) -> str:
        width = max(len(each.block) for each in self.blocks)
        return "\n".join(
            f"{each.block:<{width}}  error at {each.target}: {each.before:.6g}, "
            f"recast {each.after:.6g}"
            for each in self.blocks
        )


def blocks_of(model: nn.Module) -> list[str]:
    """Return the names of a model's blocks: the longest ModuleList whose items have one class.

    Raises
    ------
    UsageError
        If the model has none of at least two.
    """
    found: list[str] = []
    for name, module in model.named_modules():
        if not isinstance(module, nn.ModuleList) or len({type(item) for item in module}) != 1:
            continue
        if len(module) > max(len(found), 1):
            found = [f"{name}.{index}" if name else str(index) for index in range(len(module))]
    if not found:
        raise UsageError(
            "the model must have a ModuleList of two or more blocks of one class, "
            "or blocks must name them"
        )
    return found


def _check_blocks(blocks: Sequence[str], **models: nn.Module) -> None:
    """Raise UsageError unless every model has the blocks, each once."""
    if not blocks:
        raise UsageError("blocks must name at least one module, not none")
    if len(set(blocks)) < len(blocks):
        raise UsageError(f"blocks must name each module once, not {', '.join(blocks)}")
    for role, model in models.items():
        names = {name for name, _ in model.named_modules() if name}
        for block in blocks:
            if block not in names:
                raise UsageError(
                    f"blocks must be names of modules, but the {role} has no module {block!r}"
                )


@contextmanager
def _captured(model: nn.Module, block: str | None) -> Iterator[list[Tensor]]:
    """Yield a list that every call of a block adds its output to."""
    outputs: list[Tensor] = []
    if block is None:
        yield outputs
        return
    hook = model.get_submodule(block).register_forward_hook(
        lambda module, arguments, result: outputs.append(output_of(result))
    )
    try:
        yield outputs
    finally:
        hook.remove()


def _activation(model: nn.Module, batch: Any, target: str | None, call: Run | None) -> Tensor:
    """Return what the module `target` gives on a batch; for None the model itself."""
    with _captured(model, target) as outputs:
        result = run_batch(model, batch, call)
    if target is None:
        return output_of(result)
    if len(outputs) != 1:
        raise UsageError(
            f"block {target} must run once in a call of the model, not {len(outputs)} times"
        )
    return outputs[0]


class _Errors:
    """How far the student is from the teacher behind one block."""

    def __init__(
        self, student: nn.Module, teacher: nn.Module, target: str | None, call: Run | None
    ) -> None:
        self.student, self.teacher, self.target, self.call = student, teacher, target, call

    def of(self, batch: Any) -> Tensor:
        """Return the mean squared error on a batch."""
        with torch.no_grad():
            wanted = _activation(self.teacher, batch, self.target, self.call)
        found = _activation(self.student, batch, self.target, self.call)
        if found.shape != wanted.shape:
            raise UsageError(
                f"{self.target or 'the output'} must have the teacher's shape, "
                f"{tuple(wanted.shape)}, not {tuple(found.shape)}"
            )
        return mse_loss(found, wanted)

    def mean(self, batches: Iterable[Any]) -> float:
        """Return the mean over the batches."""
        with torch.no_grad():
            values = [self.of(batch).item() for batch in batches]
        if not values:
            raise UsageError("batches must be at least one, not none")
        return sum(values) / len(values)


def recast(
    student: nn.Module,
    teacher: nn.Module,
    blocks: Sequence[str] | None,
    batches: Iterable[Any],
    *,
    steps: int = 300,
    lr: float = 1e-3,
    call: Run | None = None,
    seed: int = 0,
    progress: bool = False,
) -> RecastReport:
    """Train the student's blocks, one after the other, to do what the teacher's do; in place.

    Block i is trained, with all else held, so that the output of block i + 1 comes near the
    teacher's, in mean square; the last block so that the model's own output does. Both models run
    in evaluation mode; modes and ``requires_grad`` are afterwards what they were. A block whose
    error training did not lower keeps the parameters it had. Where norms were trained,
    `nnlut_train.network.calibrate.updated` brings the plan up to date. Deterministic by the seed on
    one machine with one version of torch and one number of threads.

    Parameters
    ----------
    student : nn.Module
        A copy of the teacher (``copy.deepcopy``) on which then `replace` was called.
    teacher : nn.Module
        The exact model.
    blocks : sequence of str, optional
        Names of modules that run one after the other, each once, such as ``encoder.layer.0``; their
        results are tensors, or have a tensor first. For None, see `blocks_of`.
    batches : iterable
        Inputs without labels; a sequence is shuffled in every pass.
    steps : int
        Steps for each block.
    lr : float
        Learning rate of Adam; a tenth of it after each third of the steps.
    call : callable, optional
        ``call(model, batch)`` runs a batch; by default see `nnlut_train.network.observe.run_batch`.
    seed : int
        Decides the order of the batches.
    progress : bool
        Show the progress on a terminal.

    Raises
    ------
    UsageError
        If an argument is not as above.
    StepError
        If an error is no longer finite.
    """
    check_steps("steps", steps)
    apart(student, teacher)
    names = blocks_of(student) if blocks is None else list(blocks)
    _check_blocks(names, student=student, teacher=teacher)
    batches = repeatable(batches)
    generator = torch.Generator().manual_seed(seed)
    reports = []
    with kept_flags(student, teacher), torch.enable_grad(), tqdm(
        total=steps * len(names), desc="recasting", unit="step", disable=None if progress else True
    ) as bar:  # fmt: skip
        student.eval()
        teacher.eval()
        for block, target in zip(names, [*names[1:], None], strict=True):
            bar.set_postfix(block=block, refresh=False)
            errors = _Errors(student, teacher, target, call)
            stream = epochs_of(batches, generator)
            parameters = list(student.get_submodule(block).parameters())
            session = Session(student, parameters, lr, steps, f"block {block}")
            kept = [parameter.detach().clone() for parameter in parameters]
            before = errors.mean(batches)
            for _ in range(steps):
                error = errors.of(next(stream))
                if not error.requires_grad:
                    raise UsageError(
                        "blocks must be in the order in which they run, but "
                        f"{target or 'the output'} does not depend on {block}"
                    )
                session.step(error)
                bar.update()
            session.end()
            after = errors.mean(batches)
            if not after < before:
                after = before
                with torch.no_grad():
                    for parameter, value in zip(parameters, kept, strict=True):
                        parameter.copy_(value)
            reports.append(BlockReport(block, target or "the output", before, after))
    return RecastReport(tuple(reports))
