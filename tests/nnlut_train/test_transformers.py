"""Hugging Face's models, tiny and of random weights."""

import warnings

import pytest

torch = pytest.importorskip("torch", reason="networks need torch: pip install 'nnlut[train]'")
transformers = pytest.importorskip(
    "transformers", reason="Hugging Face's models need transformers: pip install 'nnlut[eval]'"
)

from nnlut_train.network import calibrate, replaced  # noqa: E402

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 32, "vocab_size": 50}  # fmt: skip
OPTIONS = {"softmax": {"arch": "direct"}}


def layers(*names):
    return [f"{name.format(number)}" for number in range(2) for name in names]


#: Class of model, options of its configuration, sites that are replaced, sites that are left.
MODELS = {
    "Bert": (
        {**SMALL, "max_position_embeddings": 16},
        ["embeddings.LayerNorm.layernorm", "pooler.activation.tanh", *layers(
            "encoder.layer.{}.attention.self.softmax",
            "encoder.layer.{}.attention.output.LayerNorm.layernorm",
            "encoder.layer.{}.intermediate.intermediate_act_fn.gelu",
            "encoder.layer.{}.output.LayerNorm.layernorm",
        )], [],
    ),
    "Llama": (
        {**SMALL, "num_key_value_heads": 1},
        ["norm.rmsnorm", *layers(
            "layers.{}.input_layernorm.rmsnorm", "layers.{}.self_attn.softmax",
            "layers.{}.post_attention_layernorm.rmsnorm", "layers.{}.mlp.act_fn.silu",
        )],
        # Functions of positions, not of activations.
        ["rotary_emb.cos", "rotary_emb.sin"],
    ),
    "GPT2": (
        {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 50, "n_positions": 16,
         "bos_token_id": 0, "eos_token_id": 0},
        ["ln_f.layernorm", *layers(
            "h.{}.ln_1.layernorm", "h.{}.attn.softmax", "h.{}.ln_2.layernorm",
            "h.{}.mlp.act.gelu_tanh",
        )], [],
    ),
    "Gemma": (
        {**SMALL, "num_key_value_heads": 1, "head_dim": 8},
        ["norm.rmsnorm", *layers(
            "layers.{}.input_layernorm.rmsnorm", "layers.{}.self_attn.softmax",
            "layers.{}.post_attention_layernorm.rmsnorm", "layers.{}.mlp.act_fn.gelu_tanh",
        )], ["rotary_emb.cos", "rotary_emb.sin"],
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def inputs(lengths=(9, 6)):
    ids = torch.randint(5, 50, (len(lengths), 9), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    return {"input_ids": ids, "attention_mask": mask.long()}


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", MODELS)
def test_every_operation_is_replaced(name, implementation):
    options, sites, left = MODELS[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**options, attn_implementation=implementation)
    model = getattr(transformers, f"{name}Model")(config).eval()
    batch = inputs()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        exact = model(**batch).last_hidden_state
        plan = calibrate(model, [batch], options=OPTIONS)
        assert set(plan.sites) == set(sites)
        with replaced(model, plan) as report:
            found = model(**batch).last_hidden_state
            # A sentence that is not filled up is the same.
            short = {key: value[1:, :6] for key, value in batch.items()}
            alone = model(**short).last_hidden_state
        assert set(report.replaced) == set(sites)
        assert set(report.left) == set(left)
        assert report.unseen == ()
        assert torch.equal(model(**batch).last_hidden_state, exact)
    assert not torch.equal(found, exact)
    seen = batch["attention_mask"].bool()
    assert torch.cosine_similarity(found[seen], exact[seen], -1).min() > 0.995
    # Other sums round otherwise, and now and then to another code.
    assert torch.cosine_similarity(found[1, :6], alone[0], -1).min() > 0.999


def test_a_vision_transformer_learns():
    torch.manual_seed(0)
    config = transformers.ViTConfig(**SMALL, image_size=8, patch_size=4, num_labels=3)
    model = transformers.ViTForImageClassification(config)
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(12, 3, 8, 8, generator=generator), torch.arange(12) % 3
    plan = calibrate(model, [images], options=OPTIONS)
    with replaced(model, plan, strict=True):
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        losses = []
        for _ in range(15):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(images).logits, labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
