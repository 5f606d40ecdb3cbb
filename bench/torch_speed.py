"""How long a model takes on the hardware's arithmetic: ``python bench/torch_speed.py``.

all-MiniLM-L6-v2 exactly and with softmax, GELU and LayerNorm replaced (8 entries), in turn, on
every fourth sentence of an STS file: that of --data, or STS 2015 images where it lies beside the
repository; else a ViT on 8x8 images, untrained, since weights do not change the time. One thread of
the CPU; tokens are made before. Times are medians of the runs by the clock. Ratios are of CPU time,
pair by pair: median, and least to largest; what else runs changes them less. Then each operation by
itself, at MiniLM's shapes: a batch of 64 sentences of 24 tokens.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from common import table
from torch import nn

from hw.plan import Plan
from nnlut_train.evaluate import minilm, sts, vit
from nnlut_train.network import calibrate, replaced
from nnlut_train.network.observe import run_batch

DATA = Path(__file__).parents[2] / "shared" / "data" / "sts-images" / "sts2015-images.tsv"
EVERY, IMAGES, BATCH = 4, 2048, 64
ROUNDS = 7
#: Shapes in MiniLM, and how many times an operation is run to be timed.
SHAPES = {
    "softmax": (nn.Softmax(dim=-1), (64, 12, 24, 24), 20),
    "gelu": (nn.GELU(), (64, 24, 1536), 10),
    "layernorm": (nn.LayerNorm(384), (64, 24, 384), 20),
}

#: Wall and CPU time, in seconds.
Times = tuple[float, float]


def timed(run: Callable[[], Any]) -> Times:
    """Return how long a call takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        run()
    return time.perf_counter() - wall, time.process_time() - cpu


def alternated(
    model: nn.Module, plan: Plan, run: Callable[[], Any], count: int = 1
) -> tuple[str, ...]:
    """Time exact and replaced runs in turn; return milliseconds of one of `count`, and ratio."""
    pairs = []
    for _ in range(ROUNDS + 1):
        exact = timed(run)
        with replaced(model, plan, strict=True):
            pairs.append((exact, timed(run)))
    del pairs[0]
    ratios = [other[1] / exact[1] for exact, other in pairs]
    walls = [1e3 * median(run[0] for run in runs) / count for runs in zip(*pairs, strict=True)]
    return (
        *(f"{ms:,.2f}" for ms in walls),
        f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
    )


def whole(data: Path | None) -> Iterator[tuple[Any, ...]]:
    """Yield the row of the model."""
    if data is None:
        torch.manual_seed(0)
        model, name = vit.VisionTransformer().eval(), f"ViT, {IMAGES} images"
        batches = list(torch.rand(IMAGES, vit.SIDE, vit.SIDE).split(BATCH))
    else:
        sentences = sts.read_sentences(data)[::EVERY]
        model, tokenizer = minilm.load()
        batches = minilm.unlabelled(tokenizer, sentences, BATCH)
        name = f"MiniLM, {len(sentences)} sentences"
    plan = calibrate(model, batches)

    def run() -> None:
        for batch in batches:
            run_batch(model, batch)

    yield name, *alternated(model, plan, run)


def operations() -> Iterator[tuple[Any, ...]]:
    """Yield a row of each operation."""
    torch.manual_seed(0)
    for name, (module, shape, count) in SHAPES.items():
        x = 2.0 * torch.randn(shape)
        plan = calibrate(module, [x])

        def run(module: nn.Module = module, x: torch.Tensor = x, count: int = count) -> None:
            for _ in range(count):
                module(x)

        yield f"{name}, {'x'.join(map(str, shape))}", *alternated(module, plan, run, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, metavar="FILE", help="sentence pairs, tab-separated")
    data = parser.parse_args().data or (DATA if DATA.is_file() else None)
    torch.set_num_threads(1)
    print()
    head = ("exact, ms", "replaced, ms", "ratio")
    table(("model", *head), whole(data))
    print()
    table(("operation", *head), operations())


if __name__ == "__main__":
    main()
