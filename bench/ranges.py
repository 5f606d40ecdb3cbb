"""What MiniLM's non-linear operations are asked for: ``python bench/ranges.py --data FILE``.

The sentences of an STS file, by default of STS 2014 images where it lies beside the repository, go
through all-MiniLM-L6-v2. A line a site: smallest and largest argument, and what 999 of 1000
magnitudes are below (of a softmax, distances from the row's maximum); of a norm the variances of
its rows, in eighths of an octave; of a softmax the sums of exponentials of a sample of its rows.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from common import table

from nnlut_train.evaluate import minilm, sts
from nnlut_train.network import observe
from nnlut_train.network.observe import Observation

DATA = Path(__file__).parents[2] / "shared" / "data" / "sts-images" / "sts2014-images.tsv"
#: What so many arguments are below.
SHARE = 0.999


def quantile(o: Observation) -> float:
    """Return what `SHARE` of the magnitudes are below."""
    histogram = o.histogram
    edges = np.abs(np.stack([histogram.edges[:-1], histogram.edges[1:]])).max(axis=0)
    order = np.argsort(edges)
    below = np.cumsum(histogram.counts[order]) / histogram.counts.sum()
    return float(edges[order][np.searchsorted(below, SHARE)])


def rows_of(o: Observation) -> str:
    """Return what is to be said of a site's rows."""
    if o.op == "softmax":
        sums = [float(np.exp(row - row.max()).sum()) for row in o.rows]
        return f"sums {min(sums):.2f} to {max(sums):.1f}"
    if o.op != "layernorm":
        return ""
    histogram = o.variance_histogram
    middle = np.searchsorted(np.cumsum(histogram.counts), histogram.counts.sum() / 2)
    return (
        f"variances {histogram.edges[0]:.4f} to {histogram.edges[-1]:.1f}, "
        f"median {histogram.edges[middle]:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    sentences = sts.read_sentences(parser.parse_args().data)
    torch.set_num_threads(1)
    model, tokenizer = minilm.load()
    seen = observe(model, minilm.unlabelled(tokenizer, sentences))
    print(f"\n{len(set(sentences))} sentences\n")
    table(
        ("site", "low", "high", f"{100 * SHARE:g} % below", "rows"),
        ((o.site, f"{o.low:.1f}", f"{o.high:.1f}", f"{quantile(o):.2f}", rows_of(o))
         for o in seen.values()),
    )  # fmt: skip


if __name__ == "__main__":
    main()
