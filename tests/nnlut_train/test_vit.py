import math
import sys
from dataclasses import asdict, replace

import pytest

torch = pytest.importorskip("torch", reason="the ViT needs torch: pip install 'nnlut[train]'")
pytest.importorskip("sklearn", reason="the digits need scikit-learn: pip install 'nnlut[eval]'")

from nnlut_train.errors import UsageError  # noqa: E402
from nnlut_train.evaluate import poor, vit  # noqa: E402
from nnlut_train.network.recast import blocks_of  # noqa: E402

TINY = replace(vit.RECIPE, width=16, depth=2, heads=2, hidden=16, epochs=1, batch=256)


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_digits_are_split_by_the_seed_alone():
    one, again, other = vit.data(3), vit.data(3), vit.data(4)
    assert all(torch.equal(value, getattr(again, name)) for name, value in vars(one).items())
    assert not torch.equal(one.test, other.test)
    assert len(one.train) + len(one.test) == 1797
    assert one.train.dtype == torch.float32
    assert one.train.shape[1:] == (8, 8)
    assert (one.train.min(), one.train.max()) == (0.0, 1.0)
    assert torch.equal(one.calibration, one.train[: len(one.calibration)])


def test_no_test_image_is_trained_or_calibrated_with():
    # The data set has no image twice, so that images stand for their index.
    digits = vit.data(0)
    train = {tuple(image.flatten().tolist()) for image in digits.train}
    test = {tuple(image.flatten().tolist()) for image in digits.test}
    assert len(train) + len(test) == 1797
    assert not train & test


def test_moved_images_are_the_images_moved_by_at_most_a_pixel():
    images = vit.data(0).train[:64]
    moved = vit._shifted(images, torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    ways = torch.stack(
        [padded[:, row : row + 8, column : column + 8] for row in range(3) for column in range(3)]
    )
    matches = (ways == moved).all(-1).all(-1)
    assert matches.any(0).all()
    assert 16 < matches[4].sum() < 56  # half of them, and a ninth of the others, stay


def test_training_is_deterministic_and_leaves_torch_as_it_was():
    torch.manual_seed(11)
    threads, wanted = torch.get_num_threads(), torch.rand(1)
    torch.manual_seed(11)
    one = vit.train(5, recipe=TINY)
    assert torch.equal(torch.rand(1), wanted)
    assert torch.get_num_threads() == threads
    assert not one.training
    assert equal(state(one), state(vit.train(5, recipe=TINY)))
    assert not equal(state(one), state(vit.train(6, recipe=TINY)))


def test_a_few_epochs_learn_something():
    digits = vit.data(0)
    model = vit.train(0, recipe=replace(TINY, width=32, epochs=8, batch=32, lr=4e-3))
    assert vit.accuracy(model, digits.test, digits.test_labels) > 0.5


def test_weights_are_kept_and_taken_again(tmp_path, monkeypatch):
    model = vit.train(5, folder=tmp_path / "new", recipe=TINY)
    (kept,) = (tmp_path / "new").iterdir()
    assert kept.name == f"vit-digits-5-{TINY.digest}.pt"
    monkeypatch.setattr(vit, "_trained", lambda *_: pytest.fail("trained again"))
    again = vit.train(5, folder=tmp_path / "new", recipe=TINY)
    assert equal(state(model), state(again))
    assert not again.training


def test_every_part_of_the_recipe_is_in_the_name():
    changed = {replace(TINY, **{name: value * 2}).digest for name, value in asdict(TINY).items()}
    assert len(changed | {TINY.digest}) == len(asdict(TINY)) + 1


def test_a_broken_file_is_refused(tmp_path):
    path = tmp_path / f"vit-digits-5-{TINY.digest}.pt"
    path.write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"must hold the weights of vit-digits: delete it"):
        vit.train(5, folder=tmp_path, recipe=TINY)


def test_missing_scikit_learn_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(UsageError, match=r"pip install 'nnlut\[eval\]'"):
        vit.data(0)


def test_logits_do_not_depend_on_the_batch():
    model, digits = vit.train(5, recipe=TINY), vit.data(5)
    whole = vit.logits(model, digits.test[:40])
    assert whole.shape == (40, 10)
    assert not whole.requires_grad
    torch.testing.assert_close(vit.logits(model, digits.test[:40], batch=7), whole)


def test_poor_tables_serve_every_site():
    model = vit.VisionTransformer(TINY).eval()
    plan = poor.plan(model, vit.data(0).calibration[:2])
    ops = [site.op for site in plan.sites.values()]
    assert {op: ops.count(op) for op in set(ops)} == {"softmax": 2, "gelu": 2, "layernorm": 5}
    for unit in plan.units.values():
        lines = [table for _, table in unit.spec.tables() if table.kind == "pwl"]
        assert lines
        assert all(len(table.slopes) <= poor.ENTRIES for table in lines)


def test_the_experiment_runs_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(vit, "TEST", 1797 - 160)  # little to train with
    outcome = poor.experiment(5, folder=tmp_path, recipe=TINY, steps=2, epochs=1)
    digits = vit.data(5)
    exact = vit.train(5, folder=tmp_path, recipe=TINY)
    assert outcome.exact == vit.accuracy(exact, digits.test, digits.test_labels)
    again = poor.experiment(5, folder=tmp_path, recipe=TINY, steps=2, epochs=1)
    assert replace(outcome, seconds=0) == replace(again, seconds=0)


def test_what_is_recovered_is_a_share_of_what_was_lost():
    outcome = poor.Outcome(0, 0.9, 0.5, 0.8, 0.9, 0.7, 1.0)
    assert outcome.lost == pytest.approx(0.4)
    assert outcome.recovered(outcome.recast) == pytest.approx(0.75)
    assert outcome.recovered(outcome.exact) == 1.0
    assert math.isnan(replace(outcome, poor=0.9).recovered(0.9))


def test_blocks_are_found():
    assert blocks_of(vit.VisionTransformer(TINY)) == ["blocks.0", "blocks.1"]
