"""Models with a task: what is run, what calibration may see, and who judges."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from importlib import metadata
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
        The model, in evaluation mode; loaded or trained when it is first asked for.
    ops : tuple of str
        The model's operations that can be replaced.
    rows : dict of str to int
        Elements of the longest row that a unit must take, by operation, where data may be longer
        than what calibration sees.
    """

    ops: ClassVar[tuple[str, ...]] = ("softmax", "gelu", "layernorm")
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

    rows: ClassVar = {"softmax": minilm.TOKENS}

    def __init__(self, data: Path, calibration: Path | None) -> None:
        self.data, self.calibration = data, calibration or data
        self.pairs = sts.read(data)
        self.unlabelled = sts.read_sentences(self.calibration)

    @cached_property
    def _loaded(self) -> tuple[nn.Module, Any]:
        return minilm.load()

    @property
    def model(self) -> nn.Module:
        """The model."""
        return self._loaded[0]

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return self._loaded[1]

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
        """Return the files' names and checksums, the weights', and what runs the model."""
        return {
            "data": self.data.name, "data_sha256": _sha256(self.data),
            "calibration": self.calibration.name, "calibration_sha256": _sha256(self.calibration),
            "pairs": int(self.pairs.scores.size), "weights_sha256": minilm.SHA256,
            "transformers": metadata.version("transformers"),
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
    recipe : Recipe
        What is trained and how.

    Raises
    ------
    UsageError
        If scikit-learn is missing; from `model`, if the weights cannot be read or written.
    """

    def __init__(
        self, seed: int, folder: Path, progress: bool = False, recipe: vit.Recipe = vit.RECIPE
    ) -> None:
        self.seed, self.folder, self.progress, self.recipe = seed, folder, progress, recipe
        self.digits = vit.data(seed)

    @cached_property
    def model(self) -> nn.Module:
        """The model, trained now or before."""
        try:
            return vit.train(
                self.seed, folder=self.folder, recipe=self.recipe, progress=self.progress
            )
        except OSError as error:
            raise UsageError(
                f"{self.folder}: cannot be written: {error.strerror or error}"
            ) from error

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
        return {
            "recipe": self.recipe.digest, "images": len(self.digits.test),
            "scikit-learn": metadata.version("scikit-learn"),
        }  # fmt: skip


def check_file(option: str, path: Path | None) -> Path:
    """Return a file that an option names; raise UsageError if it is missing."""
    if path is None:
        raise UsageError(
            f"{option} must name a file for --model minilm: score, sentence1, sentence2"
        )
    if not path.is_file():
        raise UsageError(f"{option} must be a file, not {path}")
    return path
