"""From unlabelled data to a plan, and from the plan to a model and to hardware."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="networks need torch: pip install 'nnlut[train]'")

from building import small  # noqa: E402
from networks import plan_for  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from hw.manifest import load_build  # noqa: E402
from hw.plan import Plan  # noqa: E402
from nnlut_train.errors import UsageError  # noqa: E402
from nnlut_train.functions import FUNCTIONS  # noqa: E402
from nnlut_train.modules import load, module_of  # noqa: E402
from nnlut_train.network import (  # noqa: E402
    calibrate,
    observe,
    plan_of,
    replace,
    replaced,
    restore,
    updated,
)
from nnlut_train.network.measured import padded_rows  # noqa: E402
from nnlut_train.network.observe import BIN_FRAC, PER_OCTAVE, REACH, ROWS, VARIANCE  # noqa: E402
from nnlut_train.network.scales import fractions, unary_scales  # noqa: E402

#: Units that are fitted at once.
QUICK = {
    "softmax": {"arch": "direct", "bits": 8, "distance_bits": 6},
    "gelu": {"arch": "direct", "bits": 8, "output_bits": 8},
    "layernorm": {"bits": 12, "output_bits": 10},
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def data(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Block(nn.Module):
    """An attention over keys that a mask leaves, a norm, and a feed-forward."""

    def __init__(self, affine=True):
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.last = nn.LayerNorm(8), nn.LayerNorm(8, elementwise_affine=affine)
        self.up, self.down, self.dropout = nn.Linear(8, 16), nn.Linear(16, 8), nn.Dropout(0.5)
        for seed, row in enumerate(self.norm.parameters()):
            row.data += 0.2 * data(8, seed=seed)

    def forward(self, x, mask=None):
        y = self.norm(x)
        x = x + F.scaled_dot_product_attention(y, y, y, mask)
        return self.last(x + self.down(F.gelu(self.up(self.dropout(x)))))


SITES = ["norm.layernorm", "softmax", "gelu", "last.layernorm"]
BATCHES = [data(4, 6, 8, seed=seed) for seed in range(3)]
MASK = torch.tensor([True, True, False, True, True, False])


def test_what_is_observed_is_counted_as_numpy_does():
    model = nn.Sequential(nn.GELU(), nn.LayerNorm(8), nn.Softmax(-1))
    x = [3 * data(5, 8, seed=seed) for seed in range(3)]
    x[0][0, 0], x[0][0, 1] = 1000.0, -1000.0  # beyond the histogram
    found = observe(model, x)
    assert list(found) == ["0.gelu", "1.layernorm", "2.softmax"]
    given = torch.cat(x).numpy().astype(np.float64)
    gelu = found["0.gelu"]
    edges = np.arange(-REACH << BIN_FRAC, (REACH << BIN_FRAC) + 1) / 2**BIN_FRAC
    clipped = np.clip(given, -REACH, REACH)
    assert gelu.counts.tolist() == np.histogram(clipped, edges)[0].tolist()
    assert (gelu.low, gelu.high) == (-1000.0, 1000.0)
    assert (gelu.calls, gelu.longest, gelu.op) == (3, 0, "gelu")
    assert gelu.histogram.counts.sum() == given.size
    assert gelu.histogram.edges[0] == -REACH
    rows = F.gelu(torch.cat(x))
    norm = found["1.layernorm"]
    octaves = np.log2(rows.double().var(-1, correction=0).numpy())
    wanted = np.bincount(
        ((octaves + VARIANCE) * PER_OCTAVE).astype(int), minlength=2 * VARIANCE * PER_OCTAVE
    )
    assert norm.variances.tolist() == wanted.tolist()
    assert norm.variance_histogram.counts.sum() == 15
    assert norm.eps == 1e-5
    assert norm.weight.tolist() == [1.0] * 8
    assert norm.weight is not model[1].weight
    softmax = found["2.softmax"]
    logits = model[1](rows).detach()
    distances = torch.sort(logits - logits.max(-1, keepdim=True).values).values[:, :-1]
    assert softmax.counts.tolist() == np.histogram(distances.numpy(), edges)[0].tolist()
    assert (softmax.low, softmax.high) == (logits.min(), logits.max())
    assert softmax.longest == 8


def test_masked_logits_are_not_observed():
    x = torch.tensor([[1.0, 2.0, -math.inf], [0.0, -1e4, 0.5], [-math.inf] * 3])
    (found,) = observe(nn.Softmax(-1), [x]).values()
    assert sorted(row.tolist() for row in found.rows) == [[0.0, 0.5], [1.0, 2.0]]
    assert (found.low, found.high, found.longest) == (0.0, 2.0, 3)
    assert found.counts.sum() == 2


def test_rows_are_a_uniform_sample_of_all_batches():
    rows, count = 700, 9
    batches = [
        torch.stack([torch.arange(b * rows, (b + 1) * rows).float()] * 2, -1) for b in range(count)
    ]

    def sampled(seed):
        (found,) = observe(nn.Softmax(-1), batches, seed=seed).values()
        return [int(row[0]) for row in found.rows]

    kept = sampled(0)
    assert len(kept) == len(set(kept)) == ROWS
    assert kept == sampled(0)
    assert kept != sampled(1)
    # As many of each batch as chance has it: of 114, three standard deviations are 30.
    share = np.bincount([row // rows for row in kept], minlength=count)
    assert np.abs(share - ROWS / count).max() < 30


def test_a_model_is_left_as_it_was():
    model = Block()
    model.train()
    model.up.eval()
    wanted = [m.training for m in model.modules()]
    found = observe(model, BATCHES)
    assert [m.training for m in model.modules()] == wanted
    assert list(found) == SITES
    assert not any(p.grad is not None for p in model.parameters())
    model.eval()
    x = BATCHES[0]
    y = model(x)
    # The same again, as dropout was off.
    again = observe(model, BATCHES)
    assert again["gelu"].counts.tolist() == found["gelu"].counts.tolist()
    assert torch.equal(model(x), y)


def test_batches_of_every_kind():
    model = Block().eval()
    x = BATCHES[0]
    kinds = ([x], [(x,)], [{"x": x}], [[x, None]], iter([x]))
    seen = [observe(model, batches) for batches in kinds]
    seen.append(observe(model, [2], call=lambda m, scale: m(x * scale / 2)))
    counts = [each["gelu"].counts.tolist() for each in seen]
    assert all(each == counts[0] for each in counts)
    with pytest.raises(UsageError, match=r"^batches must have at least one batch, not none$"):
        observe(model, [])


def test_a_model_that_cannot_be_observed():
    model = nn.Sequential(nn.GELU())
    with pytest.raises(UsageError, match=r"^site 0\.gelu: what is observed must be numbers, not N"):
        observe(model, [torch.tensor([math.nan])])
    (found,) = observe(model, [torch.tensor([1.0, math.inf])]).values()
    assert (found.low, found.high) == (1.0, 1.0)
    replace(model, plan_for(["0.gelu"]))
    with pytest.raises(UsageError, match=r"^the model must not be replaced already"):
        observe(model, [torch.ones(2)])
    restore(model)


def error_of(x, frac, bits=8):
    """The mean squared error of GELU through codes of `frac` fraction bits, as published."""
    function = FUNCTIONS["gelu"]
    form = function.input_format(bits, frac)
    y = function(x)
    found = function(form.real(form.quantize(x)))
    return ((found - y) ** 2).sum() / (y**2).sum()


def test_scales_are_not_decided_by_outliers():
    x = torch.cat([data(20000), torch.tensor([20.0])])
    observations = list(observe(nn.GELU(), [x]).values())
    choice = unary_scales(FUNCTIONS["gelu"], observations, 8, 16)
    largest = 7 - math.ceil(math.log2(20))
    values = x.double().numpy()
    errors = {frac: error_of(values, frac) for frac in range(largest - 1, largest + 7)}
    assert choice.input_frac == min(errors, key=errors.get) > largest
    few = list(observe(nn.GELU(), [data(20000)]).values())
    best = unary_scales(FUNCTIONS["gelu"], few, 8, 16)
    assert best.input_frac == 5
    assert best.total < 0.1 * unary_scales(FUNCTIONS["gelu"], few, 8, 16, largest).total
    # What is measured there is what the codes make of the arguments.
    assert best.total == pytest.approx(error_of(data(20000).double().numpy(), 5), rel=0.1)


def test_fractions_stay_within_what_a_unit_can_have():
    assert fractions(8, 3.0, 1, 2) == [4, 5, 6, 7]
    assert fractions(8, 4.0, 0, 0) == [5]
    assert fractions(12, 0.0) == [24]
    assert fractions(12, 1e30) == [-16]
    assert padded_rows([np.ones(2, np.float32), np.ones(1, np.float32)], -1.0).tolist() == [
        [1.0, 1.0], [1.0, -1.0],
    ]  # fmt: skip


@pytest.fixture(scope="module")
def observed():
    model = Block().eval()
    return observe(model, [(x, MASK) for x in BATCHES])


def test_a_plan_saved_and_loaded_computes_the_same(tmp_path):
    model = Block().eval()
    plan = calibrate(model, [(x, MASK) for x in BATCHES], options=QUICK)
    assert list(plan.sites) == SITES
    assert list(plan.units) == ["layernorm", "softmax", "gelu"]
    assert plan.meta["calls"] == dict.fromkeys(SITES, 3)
    assert all(error < 0.01 for error in plan.meta["relative_errors"].values())
    plan.save(tmp_path / "plan.json")
    loaded = Plan.load(tmp_path / "plan.json")
    assert loaded.to_json() == plan.to_json()
    x = BATCHES[0]
    exact = model(x, MASK)
    with replaced(model, plan, strict=True):
        found = model(x, MASK)
    with replaced(model, loaded, strict=True) as report:
        assert torch.equal(model(x, MASK), found)
    assert report.unseen == ()
    assert 0 < (found - exact).abs().max() < 0.1
    # A calibration is what it was.
    again = calibrate(model, [(x, MASK) for x in BATCHES], options=QUICK)
    assert again.to_json() == plan.to_json()


def test_a_plan_is_built_with_its_own_specifications(own_folder, no_yosys, capsys):
    model = nn.Sequential(nn.LayerNorm(8), nn.GELU())
    model[0].weight.data += 0.1 * data(8)
    plan = calibrate(model, BATCHES, options=QUICK, entries=4)
    plan.save("chip.json")
    small("--plan", "chip.json")
    capsys.readouterr()
    for name, planned in plan.units.items():
        built = load_build(folder := Path("build/chip") / name)
        assert built.spec() == planned.spec
        module, op = load(folder), planned.request.op
        assert module.spec == module_of(planned.spec).spec
        x = data(3, 8)
        assert torch.equal(module(x), module_of(planned.spec, FUNCTIONS.get(op))(x))
    rows = json.loads(Path("build/chip/layernorm/tables/sites.json").read_text())
    gamma = list(plan.sites["0.layernorm"].gamma)
    assert rows["0.layernorm"]["gamma"][:8] == gamma
    # After a reset, the unit serves its first site.
    assert list(plan.units["layernorm"].spec.bare.gamma.values[:8]) == gamma


def test_units_for_each_site(observed):
    plan = plan_of(observed, ops=("gelu", "layernorm"), per_site=True, options=QUICK)
    assert list(plan.units) == ["norm_layernorm", "gelu", "last_layernorm"]
    assert {name: site.unit for name, site in plan.sites.items()} == {
        "norm.layernorm": "norm_layernorm", "gelu": "gelu", "last.layernorm": "last_layernorm",
    }  # fmt: skip
    # Names that begin with a digit, and names that would be the same.
    model = nn.Sequential(nn.GELU(), nn.GELU())
    model.add_module("a", nn.Sequential(nn.GELU()))
    model.add_module("a_0", nn.GELU())
    plan = calibrate(model, BATCHES, per_site=True, options=QUICK)
    assert list(plan.units) == ["site_0_gelu", "site_1_gelu", "a_0_gelu", "a_0_gelu_2"]
    with replaced(model, plan, strict=True):
        model(BATCHES[0])


def test_norms_of_another_epsilon_have_a_unit_of_their_own():
    model = nn.Sequential(nn.LayerNorm(8), nn.LayerNorm(8, eps=1e-2), nn.LayerNorm(8))
    plan = calibrate(model, BATCHES, options=QUICK)
    assert {name: site.unit for name, site in plan.sites.items()} == {
        "0.layernorm": "layernorm", "1.layernorm": "layernorm_2", "2.layernorm": "layernorm",
    }  # fmt: skip
    with replaced(model, plan, strict=True):
        model(BATCHES[0])


def test_norms_with_and_without_gain_share_a_unit():
    model = Block(affine=False).eval()
    plan = calibrate(model, BATCHES, ops=("layernorm",), options=QUICK)
    form = plan.units["layernorm"].spec.bare.gamma.output
    assert plan.sites["last.layernorm"].gamma == (1 << form.frac,) * 8
    assert plan.sites["last.layernorm"].beta == (0,) * 8
    x = BATCHES[0]
    exact = model(x)
    with replaced(model, plan):
        assert (model(x) - exact).abs().max() < 0.05


def test_scales_of_norms_are_their_sites_own():
    model = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.LayerNorm(8))
    model[1].weight.data *= 40
    plan = calibrate(model, BATCHES, options=QUICK)
    one, other = (plan.sites[f"{k}.layernorm"].input_frac for k in (0, 2))
    assert one - other >= 2
    rms = nn.Sequential(nn.RMSNorm(8))
    x = [8 + 0.1 * b for b in BATCHES]  # not centred: large, and all alike
    plan = calibrate(rms, x, options={"rmsnorm": {"bits": 12, "output_bits": 10}})
    assert plan.meta["relative_errors"]["0.rmsnorm"] < 1e-4
    with replaced(rms, plan):
        assert (rms(x[0]) - 1).abs().max() < 0.1


def test_scales_can_be_given(observed):
    options = {"gelu": {"arch": "direct", "bits": 8, "input_frac": 3, "output_frac": 5}}
    spec = plan_of(observed, ops=("gelu",), options=options).units["gelu"].spec
    assert (spec.input.frac, spec.output.frac, spec.input.bits) == (3, 5, 8)
    options = {"softmax": {"arch": "direct", "length": 64, "lanes": 2, "distance_bits": None}}
    spec = plan_of(observed, ops=("softmax",), options=options).units["softmax"].spec
    assert (spec.longest, spec.lanes, spec.mask) == (64, 2, True)
    assert spec.bare.exp.input.bits == spec.input.bits == 12
    # Rows of 8 have a place where 16 elements enter at once.
    options = {"layernorm": {"lanes": 16, **QUICK["layernorm"]}}
    spec = plan_of(observed, ops=("layernorm",), options=options).units["layernorm"].spec
    assert (spec.longest, spec.lanes) == (16, 16)


@pytest.mark.parametrize(
    ("op", "method"),
    [("softmax", "rexp"), ("softmax", "lut2d"), ("softmax", "base2"), ("softmax", "ibert"),
     ("gelu", "ibert"), ("layernorm", "ibert")],
)  # fmt: skip
def test_every_method_has_a_plan(observed, op, method):
    bits = {"softmax": 8, "gelu": 8, "layernorm": 12}[op]
    plan = plan_of(observed, ops=(op,), options={op: {"method": method, "bits": bits}})
    model = Block().eval()
    x = BATCHES[0]
    exact = model(x, MASK)
    with replaced(model, plan) as report:
        found = model(x, MASK)
    assert set(report.replaced) == set(plan.sites)
    assert F.cosine_similarity(found, exact, -1).min() > 0.9


@pytest.mark.parametrize(
    ("op", "call"),
    [("exp", torch.exp), ("rsqrt", lambda x: torch.rsqrt(x.abs() + 0.5)),
     ("sqrt", lambda x: (x * x) ** 0.5), ("reciprocal", lambda x: 1 / (x.abs() + 0.5)),
     ("log", lambda x: (x.abs() + 1e-3).log()), ("cos", torch.cos)],
)  # fmt: skip
def test_functions_that_are_not_replaced_by_default(op, call):
    class Model(nn.Module):
        def forward(self, x):
            return call(x)

    model = Model()
    message = rf"^the model must have one of softmax, .*, but was seen to have {op}$"
    with pytest.raises(UsageError, match=message):
        calibrate(model, BATCHES)
    options = {op: {"bits": 10, "output_bits": 12, "arch": "direct"}}
    plan = calibrate(model, BATCHES, ops=(op,), options=options)
    exact = model(BATCHES[0])
    with replaced(model, plan, strict=True):
        found = model(BATCHES[0])
    usual = exact.abs() < 8
    assert (found - exact)[usual].abs().mean() < 0.05


def test_entries_and_seeds_and_floors(observed):
    gelu = {"ops": ("gelu",), "options": {"gelu": {"bits": 8, "output_bits": 8}}}
    plans = [plan_of(observed, entries=n, **gelu) for n in (4, 8, None)]
    assert [p.units["gelu"].request.entries for p in plans] == [4, 8, None]
    assert plans[1].units["gelu"].arch == "pwl"
    # What a plan notes is measured with its tables.
    errors = [p.meta["relative_errors"]["gelu"] for p in plans]
    assert errors[0] > errors[1] > 0
    # Where all arguments count alike, the table is another than where only those seen do.
    alike, seen = (
        plan_of(observed, floor=floor, entries=4, **gelu).units["gelu"].spec for floor in (1.0, 0.0)
    )
    assert alike != seen
    weight = observed["gelu"].counts
    codes = seen.input.codes()
    edges = (np.arange(weight.size) + 0.5) / 2**BIN_FRAC - REACH
    at = seen.input.quantize(edges) - seen.input.min
    exact = FUNCTIONS["gelu"](seen.input.real(codes))
    off = [
        (weight * ((spec.output.real(spec.compute(codes)) - exact) ** 2)[at]).sum()
        for spec in (alike, seen)
    ]
    assert off[1] < off[0]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"floor": 1.5}, r"^floor must be 0 to 1, not 1\.5$"),
        ({"ops": ("tanh",)}, r"^the model must have one of tanh, but was seen to have gelu, "
                             r"layernorm, softmax$"),
        ({"options": {"relu": {}}}, r"^options must be of softmax, .*, not of 'relu'$"),
        ({"options": {"gelu": {"bitz": 8}}}, r"^options of gelu must be bits, .*, not 'bitz'$"),
        ({"options": {"gelu": {"module": "x"}}}, r"^options of gelu must be .*, not 'module'$"),
        ({"options": {"gelu": {"bits": 3}}, "ops": ("gelu",)}, r"^unit gelu: --bits must be 4 to "),
        ({"options": {"softmax": {"length": 4}}, "ops": ("softmax",)},
         r"^unit softmax: site softmax: rows must have at most 4 elements, not 6$"),
        ({"options": {"layernorm": {"length": 4}}, "ops": ("layernorm",)},
         r"^unit layernorm: site norm\.layernorm: rows must have at most 4 elements, not 8$"),
    ],
)  # fmt: skip
def test_bad_choices(observed, choices, message):
    with pytest.raises(UsageError, match=message):
        plan_of(observed, **choices)


def test_sites_that_saw_nothing_and_rows_that_are_too_long():
    model = nn.Sequential(nn.Softmax(-1))
    for other, x, message in (
        (model, torch.full((2, 3), -math.inf), r"^site 0\.softmax: must be run on some elements"),
        (nn.Sequential(nn.GELU()), torch.zeros(0, 3), r"^site 0\.gelu: must be run on some elemen"),
        (model, torch.zeros(1, 4097), r"site 0\.softmax: rows must have at most 4096 elements, n"),
    ):
        with pytest.raises(UsageError, match=message):
            calibrate(other, [x])


def test_a_plan_follows_the_weights():
    model = nn.Sequential(nn.LayerNorm(8), nn.GELU(), nn.LayerNorm((2, 4)))
    batches = [b.view(-1, 2, 4) for b in BATCHES]
    model[0] = nn.LayerNorm(4)
    plan = calibrate(model, batches, options=QUICK)
    assert updated(plan, model).to_json() == plan.to_json()
    for norm in (model[0], model[2]):
        norm.weight.data += 0.25
        norm.bias.data -= 0.5
    with replaced(model, plan), pytest.raises(UsageError, match="weight must be what the plan has"):
        model(batches[0])
    late = updated(plan, model)
    with replaced(model, late, strict=True):
        model(batches[0])
    assert late.units == plan.units
    assert late.sites["2.layernorm"].gamma != plan.sites["2.layernorm"].gamma
    assert late.sites["1.gelu"] == plan.sites["1.gelu"]
    with pytest.raises(UsageError, match=r"^site 0\.layernorm: the model must have a module '0'"):
        updated(plan, nn.GELU())
