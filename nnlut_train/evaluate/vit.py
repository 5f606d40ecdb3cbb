"""A small Vision Transformer on scikit-learn's digits, trained in seconds.

The model is the plain one (Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, arXiv
2010.11929): patches, a class token, learned positions, layers with the norm in front, GELU by erf.
It is written with PyTorch's own modules and calls, as users' models are, and knows of no hardware.
"""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..errors import UsageError
from ..files import write_bytes
from ..fit.nn import threads

__all__ = ["RECIPE", "Data", "Recipe", "VisionTransformer", "accuracy", "data", "logits", "train"]

SIDE = 8  # pixels of an image, either way
CLASSES = 10
LEVELS = 16  # the data set's grey levels are 0 to 16
#: Images that no training sees: one third of the 1797.
TEST = 599
#: Images of the training set, without their labels, that calibration sees.
CALIBRATION = 256


@dataclass(frozen=True)
class Recipe:
    """Everything that decides which weights training ends with, but the seed.

    Parameters
    ----------
    patch : int
        Pixels of a patch, either way.
    width, depth, heads, hidden : int
        Elements of a token, layers, attention heads, elements between a layer's two linear maps.
    epochs, batch : int
        Passes over the training set, and images a step.
    lr, weight_decay : float
        AdamW's; the learning rate rises over the first tenth of the steps and falls to 0.
    """

    patch: int = 2
    width: int = 48
    depth: int = 4
    heads: int = 4
    hidden: int = 96
    epochs: int = 40
    batch: int = 32
    lr: float = 2e-3
    weight_decay: float = 0.05

    @property
    def digest(self) -> str:
        """The first 12 hexadecimal digits of a SHA-256 over the recipe and torch's version."""
        text = json.dumps({**asdict(self), "torch": str(torch.__version__)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


RECIPE = Recipe()


@dataclass(frozen=True, eq=False)
class Data:
    """The digits, split.

    Images are float32 of shape (n, 8, 8), 0 to 1; labels int64 of shape (n,), 0 to 9. The
    calibration images are some of the training images; they have no labels on purpose.
    """

    train: Tensor
    train_labels: Tensor
    calibration: Tensor
    test: Tensor
    test_labels: Tensor


class Attention(nn.Module):
    """Multi-head self-attention over tokens of shape (n, tokens, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixed tokens, same shape."""
        n, tokens, width = x.shape
        split = self.qkv(x).reshape(n, tokens, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-2, -1) * (width // self.heads) ** -0.5
        mixed = torch.softmax(scores, dim=-1) @ value
        return self.projection(mixed.transpose(1, 2).reshape(n, tokens, width))


class Block(nn.Module):
    """One layer: attention and a network of two linear maps, each with its norm in front."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's tokens, same shape."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """The model: images of shape (n, 8, 8) to logits of shape (n, 10)."""

    def __init__(self, recipe: Recipe = RECIPE) -> None:
        super().__init__()
        width = recipe.width
        self.patch = recipe.patch
        self.embedding = nn.Linear(recipe.patch**2, width)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        patches = (SIDE // recipe.patch) ** 2
        # Of the size of the patches' own: with the usual 0.02, so short a training ends too early.
        self.position = nn.Parameter(torch.randn(1, patches + 1, width))
        self.blocks = nn.ModuleList(
            Block(width, recipe.heads, recipe.hidden) for _ in range(recipe.depth)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of `images`."""
        n, side = len(images), SIDE // self.patch
        patches = images.reshape(n, side, self.patch, side, self.patch).transpose(2, 3)
        x = self.embedding(patches.reshape(n, side * side, self.patch**2))
        x = torch.cat([self.token.expand(n, -1, -1), x], dim=1) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))


def data(seed: int) -> Data:
    """Return the digits; `seed` alone decides how they are split.

    Raises
    ------
    UsageError
        If scikit-learn, which carries the images, is missing.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UsageError(
            "vit-digits needs scikit-learn, which is not installed: pip install 'nnlut[eval]'"
        ) from error
    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    images = torch.from_numpy((digits.images / LEVELS).astype(np.float32)[order])
    labels = torch.from_numpy(digits.target.astype(np.int64)[order])
    return Data(
        images[TEST:], labels[TEST:], images[TEST : TEST + CALIBRATION], images[:TEST],
        labels[:TEST],
    )  # fmt: skip


def _shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return `images`, half of them moved by at most one pixel either way; black comes in."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    offset = torch.randint(0, 3, (2, len(images), 1, 1), generator=generator)
    kept = torch.rand(len(images), 1, 1, generator=generator) < 0.5
    row, column = torch.where(kept, 1, offset)  # 1, the padding, leaves an image where it is
    pixel = torch.arange(SIDE)
    which = torch.arange(len(images))[:, None, None]
    return padded[which, row + pixel[:, None], column + pixel]


def _trained(seed: int, recipe: Recipe, progress: bool) -> VisionTransformer:
    """Train, in one thread; see `nnlut_train.fit.nn.threads`."""
    digits = data(seed)
    generator = torch.Generator().manual_seed(seed)
    with threads(1):
        with torch.random.fork_rng(devices=[]):  # what initialises a model has no generator of ours
            torch.manual_seed(seed)
            model = VisionTransformer(recipe)
        steps = recipe.epochs * -(-len(digits.train) // recipe.batch)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.lr, total_steps=steps, pct_start=0.1, cycle_momentum=False
        )
        bar = tqdm(
            total=steps, desc=f"vit-digits, seed {seed}", unit="step", leave=False,
            disable=None if progress else True,
        )  # fmt: skip
        with torch.enable_grad(), bar:
            for _ in range(recipe.epochs):
                order = torch.randperm(len(digits.train), generator=generator)
                for chosen in order.split(recipe.batch):
                    images = _shifted(digits.train[chosen], generator)
                    loss = nn.functional.cross_entropy(model(images), digits.train_labels[chosen])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    schedule.step()
                    bar.update()
        return model.eval()


def train(
    seed: int, *, folder: Path | str | None = None, recipe: Recipe = RECIPE, progress: bool = False
) -> VisionTransformer:
    """Return a trained model, in evaluation mode.

    Deterministic on one machine with one version of torch.

    Parameters
    ----------
    seed : int
        Decides the split, the initial weights, the batches and the images' shifts.
    folder : path, optional
        Where the weights are kept: taken from there if they are there, else written after training,
        in one piece. The file's name has the seed and `Recipe.digest`.
    recipe : Recipe
        What is trained and how.
    progress : bool
        Show the progress on a terminal.

    Raises
    ------
    UsageError
        If scikit-learn is missing, or a kept file does not hold such weights.
    """
    if folder is None:
        return _trained(seed, recipe, progress)
    path = Path(folder) / f"vit-digits-{seed}-{recipe.digest}.pt"
    if not path.exists():
        model = _trained(seed, recipe, progress)
        buffer = io.BytesIO()
        torch.save(model.state_dict(), buffer)
        write_bytes(path, buffer.getvalue())
        return model
    with torch.random.fork_rng(devices=[]):
        model = VisionTransformer(recipe)
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch.load raises whatever the bytes lead it to
        raise UsageError(f"{path}: must hold the weights of vit-digits: delete it") from error
    return model.eval()


def logits(model: Callable[[Tensor], Any], images: Tensor, *, batch: int = 256) -> Tensor:
    """Return the logits of `images`, (n, 8, 8) to (n, 10), without gradients."""
    with torch.no_grad():
        return torch.cat([model(part) for part in images.split(batch)])


def accuracy(model: Callable[[Tensor], Any], images: Tensor, labels: Tensor) -> float:
    """Return the share of `images` whose largest logit is that of its label, 0 to 1."""
    return (logits(model, images).argmax(dim=-1) == labels).double().mean().item()
