"""Models with a task: what is run, what calibration may see, and who judges."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import nn

from ..errors import UsageError
from . import minilm, sts, vit
from .fidelity import Result
from .judge import Classes, Similarities

__all__ = ["Digits", "MiniLM", "Task"]


class Judge(Protocol):
    """Judges answers against the exact model's."""

    def result(self, answers: np.ndarray) -> Result:
        """Return what they are worth."""


class Task(ABC):
    """A model, the data that it is judged on, and unlabelled data to calibrate it with.

    Attributes
    ----------
    model : nn.Module
        The model, in evaluation mode.
    rows : dict of str to int
        Elements of the longest row that a unit must take, by operation, where data may be longer
        than what calibration sees.
    """

    name: ClassVar[str]
    model: nn.Module
    rows: ClassVar[dict[str, int]] = {}

    @abstractmethod
    def batches(self) -> Sequence[Any]:
        """Return unlabelled inputs for calibration."""

    @abstractmethod
    def answers(self, *, progress: bool = False) -> np.ndarray:
        """Return what the model says to the task's data, as it is now."""

    @abstractmethod
    def judge(self, exact: np.ndarray) -> Judge:
        """Return who judges answers against the exact model's."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what the results depend on, as JSON-ready data."""


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class MiniLM(Task):
    """all-MiniLM-L6-v2 on a file of sentence pairs; see `minilm` and `sts`.

    Parameters
    ----------
    data : Path
        The pairs that it is judged on.
    calibration : Path, optional
        Pairs whose sentences calibrate; by default those of `data`. Their scores are not read.
    """

    name = "minilm"
    rows: ClassVar = {"softmax": minilm.TOKENS}

    def __init__(self, data: Path, calibration: Path | None) -> None:
        self.data, self.calibration = data, calibration or data
        self.pairs = sts.read(data)
        self.unlabelled = sts.read_sentences(self.calibration)
        self.model, self.tokenizer = minilm.load()

    def batches(self) -> Sequence[Any]:
        """Return the sentences' tokens."""
        return minilm.unlabelled(self.tokenizer, self.unlabelled)

    def answers(self, *, progress: bool = False) -> np.ndarray:
        """Return the embeddings of the sentences; float32, shape (n, 384)."""
        return minilm.embed(self.model, self.tokenizer, self.pairs.sentences, progress=progress)

    def judge(self, exact: np.ndarray) -> Judge:
        """Return the judge of similarities."""
        return Similarities(self.pairs, exact)

    def describe(self) -> dict[str, Any]:
        """Return the files' names and checksums, and the weights'."""
        return {
            "data": self.data.name, "data_sha256": _sha256(self.data),
            "calibration": self.calibration.name, "calibration_sha256": _sha256(self.calibration),
            "pairs": int(self.pairs.scores.size), "weights_sha256": minilm.SHA256,
        }  # fmt: skip


class Digits(Task):
    """A small Vision Transformer on digits; see `vit`.

    Parameters
    ----------
    seed : int
        Of split and training.
    folder : Path
        Where the weights are kept.
    progress : bool
        Show the training's progress on a terminal.
    """

    name = "vit-digits"

    def __init__(self, seed: int, folder: Path, progress: bool = False) -> None:
        self.seed = seed
        self.digits = vit.data(seed)
        self.model = vit.train(seed, folder=folder, progress=progress)

    def batches(self) -> Sequence[torch.Tensor]:
        """Return the calibration images."""
        return self.digits.calibration.split(64)

    def answers(self, *, progress: bool = False) -> np.ndarray:
        """Return the logits of the test images; float32, shape (n, 10)."""
        return vit.logits(self.model, self.digits.test).numpy()

    def judge(self, exact: np.ndarray) -> Judge:
        """Return the judge of classes."""
        return Classes(self.digits.test_labels.numpy(), exact)

    def describe(self) -> dict[str, Any]:
        """Return what decides the weights."""
        return {"recipe": vit.RECIPE.digest, "images": len(self.digits.test)}


def check_file(option: str, path: Path | None) -> Path:
    """Return a file that an option names; raise UsageError if it is missing."""
    if path is None:
        raise UsageError(
            f"{option} must name a file for --model minilm: score, sentence1, sentence2"
        )
    if not path.is_file():
        raise UsageError(f"{option} must be a file, not {path}")
    return path
