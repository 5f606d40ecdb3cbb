import itertools
import math

import numpy as np
import pytest

from nnlut_train.errors import UsageError
from nnlut_train.evaluate import figures
from nnlut_train.evaluate.fidelity import Result
from nnlut_train.evaluate.store import Store

OPS = ("softmax", "gelu", "layernorm", "all")


@pytest.fixture
def _pictures():
    pytest.importorskip("matplotlib", reason="figures need matplotlib: pip install 'nnlut[plot]'")


def result(difference, width=0.0003, cosine=0.9999):
    return Result(
        "spearman", 0.9 + difference, difference, difference - width, difference + width, 750,
        cosine, 0.9999,
    )  # fmt: skip


def stored(folder, rows, seed=0):
    """Write results as the command does, and return their file."""
    store = Store(folder, {"model": "minilm"})
    store.put("exact", seed, result=result(0.0, 0.0, 1.0).to_json(), seconds=1.0)
    for key, each in rows.items():
        store.put(key, seed, result=each.to_json(), seconds=1.0)
    return store.path


def crowd():
    """Return rows in a crowd near 0, and collapses, one of them without a metric."""
    rng = np.random.default_rng(0)
    rows = {}
    for name in ("optimal, 8 entries", "optimal, 4 entries", "NN-LUT, 16 entries", "I-BERT"):
        for op in OPS:
            loss, drift = 1e-4 * rng.normal(), 10 ** rng.uniform(-5, -4)
            rows[f"{name} | {op}"] = result(loss, cosine=1 - drift)
    rows["base 2 | softmax"] = rows["base 2 + optimal | all"] = result(1e-5)
    rows["uniform segments, as published | exp"] = result(-0.13, 0.02, 0.8)
    rows["uniform segments, as published | 1/x"] = result(-0.02, 0.004, 0.97)
    rows["uniform segments, as published | 1/sqrt"] = result(-0.88, 0.03, 0.04)
    nan = math.nan
    rows["uniform segments, as published | all"] = Result(
        "spearman", nan, nan, nan, nan, 750, nan, nan
    )
    rows["INT8, optimal, 8 entries | all | int8"] = result(-2e-5, 0.0009, 0.997)
    return rows


def test_rows_are_read_in_their_order_and_over_all_seeds(tmp_path):
    rows = {
        "optimal, 8 entries | gelu": result(-0.002),
        "REXP + optimal, 8 entries | all": result(-0.01),
    }
    stored(tmp_path, rows, seed=0)
    store = Store(tmp_path, {"model": "minilm"})
    store.put("optimal, 8 entries | gelu", 1, result=result(0.001, cosine=0.9997).to_json())
    store.put("poor", 1, outcome={"exact": 0.98})
    gelu, rexp = figures.read(store.path)
    assert (gelu.name, gelu.ops, gelu.panel) == ("optimal, 8 entries", "gelu", "gelu")
    assert gelu.difference == pytest.approx(-0.0005)
    assert (gelu.low, gelu.high) == (-0.002, 0.001)
    assert gelu.drift == pytest.approx(0.0002)
    assert (rexp.name, rexp.panel, rexp.low) == ("REXP", "all", pytest.approx(-0.0103))


def test_parts_go_to_their_operation_and_int8_says_what_it_is_compared_with(tmp_path):
    marks = figures.read(stored(tmp_path, crowd()))
    assert [m.panel for m in marks if m.ops in ("exp", "1/x", "1/sqrt")] == [
        "softmax", "softmax", "layernorm",
    ]  # fmt: skip
    assert marks[-1].name == "INT8, optimal, 8 entries (to INT8)"


@pytest.mark.parametrize("text", ["", "[]", '{"rows": {"a | b | seed 0": {"result": {}}}}'])
def test_what_are_no_results_is_refused(tmp_path, text):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(UsageError, match=r"result"):
        figures.read(tmp_path / "results.json")


@pytest.mark.usefixtures("_pictures")
def test_figures_are_written_beside_the_results_with_the_same_bytes_each_time(tmp_path):
    rows = dict(itertools.islice(crowd().items(), 2))
    written = figures.draw(stored(tmp_path, rows))
    assert [path.name for path in written] == [
        "fidelity.svg", "fidelity.png", "loss.svg", "loss.png",
    ]  # fmt: skip
    first = [path.read_bytes() for path in written]
    assert figures.draw(tmp_path / "results.json") == written
    assert [path.read_bytes() for path in written] == first


@pytest.mark.usefixtures("_pictures")
def test_every_mark_of_the_fidelity_has_its_number_and_none_lies_on_another(tmp_path):
    marks = figures.read(stored(tmp_path, crowd()))
    figure = figures.fidelity(marks)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    drawn = [m for m in marks if math.isfinite(m.difference)]
    assert len(drawn) == len(marks) - 1
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    texts = [text for text in axes.texts if text.get_text()]
    assert len(texts) == len(drawn)
    for text, mark in zip(texts, drawn, strict=True):
        assert f"{text.get_text()}  {mark.name}" in names
        assert text.xy == (mark.drift, mark.difference)
    # Of the text alone, without the line that may lead to it.
    boxes = [super(type(text), text).get_window_extent() for text in texts]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


@pytest.mark.usefixtures("_pictures")
def test_bars_tell_what_is_lost_where_and_which_loss_is_sure(tmp_path):
    marks = figures.read(stored(tmp_path, crowd()))
    figure = figures.loss(marks)
    assert [axes.get_title() for axes in figure.axes] == [
        "softmax alone", "gelu alone", "layernorm alone", "all operations",
    ]  # fmt: skip
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == list(dict.fromkeys(m.name for m in marks))
    for axes, panel in zip(figure.axes, OPS, strict=True):
        finite = [m for m in marks if m.panel == panel and math.isfinite(m.difference)]
        bars = {round(bar.get_width(), 9): bar.get_facecolor()[:3] for bar in axes.patches}
        assert bars.keys() == {round(-m.difference, 9) for m in finite}
        for m in finite:
            sure = m.low > 0 or m.high < 0
            red, _, blue = bars[round(-m.difference, 9)]
            assert (red > blue) == sure
    shown = [text.get_text() for text in figure.axes[3].texts]
    assert "no metric" in shown
    assert "exp 0.1300" in [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.usefixtures("_pictures")
def test_there_are_no_figures_of_no_rows(tmp_path):
    assert figures.draw(stored(tmp_path, {})) == []


def test_without_matplotlib_nothing_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "find_spec", lambda name: None)
    assert figures.draw(stored(tmp_path, crowd())) == []
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
