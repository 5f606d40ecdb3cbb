"""Models on the units of a plan: plans that do not fit, errors, training, threads."""

import copy
import math
import threading

import pytest

torch = pytest.importorskip("torch", reason="networks need torch: pip install 'nnlut[train]'")

from networks import BLOCK, HEADS, Calls, X, block, check, data, module, plan_for, randomised, unit  # noqa: E402
from networks import untouched as untouched  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from hw.plan import Plan, PlannedSite  # noqa: E402
from nnlut_train.errors import UsageError  # noqa: E402
from nnlut_train.modules import module_of  # noqa: E402
from nnlut_train.network import functions_replaced, replace, replaced, restore  # noqa: E402
from nnlut_train.network.classes import known  # noqa: E402


def test_strict_refuses_what_is_not_planned():
    model = nn.Sequential(nn.GELU(), nn.Softmax(-1))
    replace(model, plan_for(["0.gelu"]), strict=True)
    message = r"^site 1\.softmax: softmax cannot run on the hardware: not in the plan$"
    with pytest.raises(UsageError, match=message):
        model(X)
    restore(model)


@pytest.mark.parametrize("site", ["b.gelu", "a.1.gelu", "gelu.a.gelu"])
def test_a_plan_for_another_model_is_refused(site):
    model = nn.Sequential()
    model.add_module("a", nn.GELU())
    with pytest.raises(UsageError) as error:
        replace(model, plan_for([site]))
    assert str(error.value) == (
        f"site {site}: the model must have a module {site.removesuffix('.gelu')!r}, but has none"
    )
    assert torch.equal(model(X), F.gelu(X))


def test_a_site_must_end_in_its_operation():
    with pytest.raises(UsageError, match=r"^site a\.tanh: must end in \.gelu, its operation$"):
        replace(nn.GELU(), Plan({"u": unit("gelu")}, {"a.tanh": PlannedSite("gelu", "u")}, {}))


def norm_plan(norm, **changed):
    codes = {
        name: tuple(module("layernorm").affine_codes(name, row).tolist())
        for name, row in (("gamma", norm.weight), ("beta", norm.bias))
    }
    site = PlannedSite("layernorm", "u", **(codes | changed))
    return Plan({"u": unit("layernorm")}, {"0.layernorm": site}, {})


def test_a_norm_must_be_that_of_the_plan():
    norm = randomised(nn.LayerNorm(8))
    model = nn.Sequential(norm)
    with replaced(model, norm_plan(norm)):
        y = model(X)
    assert torch.equal(y, module("layernorm")(X, norm.weight, norm.bias))
    with pytest.raises(UsageError, match=r"^site 0\.layernorm: the layer must have 6 elements, as"):
        replace(model, norm_plan(norm, gamma=(1,) * 6, beta=(1,) * 6))
    for name, word in (("gamma", "weight"), ("beta", "bias")):
        other = norm_plan(norm, **{name: (1,) * 8})
        message = rf"^site 0\.layernorm: the layer's {word} must be what the plan has as {name}: "
        with replaced(model, other), pytest.raises(UsageError, match=message):
            model(X)
    norm.eps = 1e-3
    message = r"^site 0\.layernorm: the layer's epsilon must be the plan's, 1e-05, not 0\.001$"
    with replaced(model, norm_plan(norm)), pytest.raises(UsageError, match=message):
        model(X)
    # Checked once: training changes the weights.
    norm.eps = 1e-5
    with replaced(model, norm_plan(norm)):
        model(X)
        norm.weight.data *= 1.5
        assert torch.equal(model(X), module("layernorm")(X, norm.weight, norm.bias))


def test_a_functional_norm_of_another_length_is_refused_too():
    model = nn.Sequential(Calls(lambda x: F.layer_norm(x, (8,), torch.ones(8), torch.zeros(8))))
    plan = norm_plan(randomised(nn.LayerNorm(6)))
    message = r"^site 0\.layernorm: the layer must have 6 elements, as the plan, not 8$"
    with replaced(model, plan), pytest.raises(UsageError, match=message):
        model(X)


def test_a_layer_without_gain_has_that_of_the_plan_which_does_nothing():
    norm = nn.LayerNorm(8)
    plain = nn.Sequential(nn.LayerNorm(8, elementwise_affine=False))
    with replaced(plain, norm_plan(norm)):
        assert torch.equal(plain(X), module("layernorm")(X, norm.weight, norm.bias))
    other = norm_plan(randomised(norm))
    with replaced(plain, other), pytest.raises(UsageError, match="weight must be what the plan"):
        plain(X)


def test_a_row_must_not_be_longer_than_the_unit():
    model = nn.Sequential(nn.Softmax(-1))
    message = r"^site 0\.softmax: a row must have 1 to 32 elements, not 33$"
    with replaced(model, plan_for(["0.softmax"])), pytest.raises(UsageError, match=message):
        model(data(2, 33))


def test_a_units_place_for_gain_is_needed():
    model = nn.LayerNorm(8)
    plan = plan_for(["layernorm"], layernorm=unit("layernorm", tables="rom"))
    message = r"^site layernorm: the unit must have gamma: the layer has it$"
    with replaced(model, plan), pytest.raises(UsageError, match=message):
        model(X)


def test_sites_of_a_shared_unit_have_their_own_functions():
    both = unit("gelu,tanh", arch="auto", bits=6, entries=4)
    model = nn.Sequential(nn.Tanh(), nn.GELU())
    sites = {"0.tanh": PlannedSite("tanh", "both"), "1.gelu": PlannedSite("gelu", "both")}
    with replaced(model, Plan({"both": both}, sites, {})) as report:
        found = model(X)
    gelu, tanh = (module_of(both.spec, number=number) for number in range(2))
    assert torch.equal(found, gelu(tanh(X)))
    assert report.replaced == {"0.tanh": "both", "1.gelu": "both"}


def test_nan_names_the_site():
    model = nn.Sequential(nn.GELU())
    with replaced(model, plan_for(["0.gelu"])), pytest.raises(UsageError, match=r"^site 0\.gelu: "):
        model(torch.tensor([math.nan]))


def test_replacing_twice_is_refused():
    model = nn.Sequential(nn.GELU(), nn.Sequential(nn.GELU()))
    plan = plan_for(["0.gelu"])
    message = r"^the model must not be replaced already, nor be a copy of one that was: "
    replace(model[1], plan_for(["0.gelu"]))
    with pytest.raises(UsageError, match=message):
        replace(model, plan)
    restore(model[1])
    report = replace(model, plan)
    for again in (model, model[1], copy.deepcopy(model)):
        with pytest.raises(UsageError, match=message):
            replace(again, plan)
    # The first one stands.
    assert torch.equal(model(X), F.gelu(module("gelu")(X)))
    assert list(report.replaced) == ["0.gelu"]
    restore(model)
    assert torch.equal(model(X), F.gelu(F.gelu(X)))
    with pytest.raises(UsageError, match=r"^the model must be one that replace\(\) was called on$"):
        restore(model)
    replace(model, plan)
    restore(model)


def test_an_exception_leaves_nothing_behind():
    inner = Calls(lambda x, by: F.gelu(x) / by)
    model = Calls(lambda x, by: inner(x, by), inner=inner)
    exact = F.gelu(X)
    with replaced(model, plan_for(["inner.gelu"]), strict=True):
        with pytest.raises(TypeError):
            model(X, "nothing")
        assert torch.equal(F.gelu(X), exact)
        assert torch.equal(model(X, 1), module("gelu")(X))

    # Caught inside, by a module that goes on; also where a hook fails first.
    def outer(x):
        with pytest.raises((TypeError, ZeroDivisionError)):
            inner(x, "nothing")
        return F.gelu(x)

    model = Calls(outer, inner=inner)
    with replaced(model, plan_for(["gelu", "inner.gelu"]), strict=True) as report:
        assert torch.equal(model(X), module("gelu")(X))
        assert list(report.replaced) == ["inner.gelu", "gelu"]
        hook = inner.register_forward_pre_hook(lambda *_: 1 / 0, prepend=True)
        assert torch.equal(model(X), module("gelu")(X))
        assert report.calls == {"inner.gelu": 1, "gelu": 2}
        hook.remove()


def test_an_interrupt_leaves_torch_as_it_was():
    def interrupted(x, stop):
        y = F.gelu(x)
        if stop:
            raise KeyboardInterrupt
        return y

    inner = Calls(interrupted)
    model = Calls(lambda x, stop: inner(x, stop), inner=inner)
    exact = F.gelu(X)
    with replaced(model, plan_for(["inner.gelu"])) as report:
        with pytest.raises(KeyboardInterrupt):
            model(X, True)
        assert torch.equal(F.gelu(X), exact)
        assert torch.equal(model(X, False), module("gelu")(X))
        assert report.calls == {"inner.gelu": 2}
        with pytest.raises(KeyboardInterrupt):
            model(X, True)
        assert torch.equal(model(X, False), module("gelu")(X))
        assert torch.equal(F.gelu(X), exact)
        assert report.left == {}
    assert torch.equal(model(X, False), exact)


def test_threads_do_not_meet():
    inner = nn.GELU()
    start = threading.Barrier(2)

    def wait(x):
        start.wait(10)
        y = inner(F.softmax(x, -1))
        start.wait(10)
        return y

    model = Calls(wait, inner=inner)
    found = [None, None]

    def run(number):
        found[number] = model(X)

    with replaced(model, plan_for(["softmax", "inner.gelu"]), strict=True) as report:
        threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    wanted = module("gelu")(module("softmax")(X))
    assert torch.equal(found[0], wanted)
    assert torch.equal(found[1], wanted)
    assert report.replaced == {"softmax": "softmax", "inner.gelu": "gelu"}
    assert report.calls == {"softmax": 2, "inner.gelu": 2}


def test_the_model_stays_what_it_is():
    model = block()
    keys, text = list(model.state_dict()), str(model)
    before = copy.deepcopy(model)
    replace(model, plan_for(BLOCK))
    assert list(model.state_dict()) == keys
    assert str(model) == text
    assert len(list(model.parameters())) == len(list(before.parameters()))
    y = model(X)
    assert not torch.equal(before(X), y)
    # A copy made too late computes with its own weights, on the hardware too.
    late = copy.deepcopy(model)
    assert torch.equal(late(X), y)
    late[0].weight.data *= 2
    assert torch.equal(model(X), y)
    assert not torch.equal(late(X), y)
    restore(model)
    assert torch.equal(model(X), before(X))


def test_training_steps():
    model = block()
    exact = copy.deepcopy(model)
    replace(model, plan_for(BLOCK), strict=True)
    target = torch.softmax(data(4, 6, 8, seed=9), -1)
    for each in (model, exact):
        F.mse_loss(each(X), target).backward()
    for one, other in zip(model.parameters(), exact.parameters(), strict=True):
        assert F.cosine_similarity(one.grad.flatten(), other.grad.flatten(), 0) > 0.95
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = F.mse_loss(model(X), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_checkpointed_modules_are_replaced_in_the_second_run_too():
    model = block()
    checkpoint = torch.utils.checkpoint.checkpoint
    inner = Calls(lambda x: checkpoint(model, x, use_reentrant=False), m=model)
    sites = [f"m.{site}" for site in BLOCK]
    with replaced(inner, plan_for(sites), strict=True) as report:
        x = X.clone().requires_grad_()
        y = inner(x)
        y.square().sum().backward()
    with replaced(model, plan_for(BLOCK)):
        again = X.clone().requires_grad_()
        model(again).square().sum().backward()
    assert torch.equal(x.grad, again.grad)
    # The second run ends as soon as it has what the gradients need.
    assert report.calls == dict.fromkeys(sites[:2], 2) | {sites[2]: 1}


def test_two_models_in_one_computation():
    one, two = nn.Sequential(nn.GELU()), nn.Sequential(nn.GELU())
    coarse = unit("gelu", bits=4)
    replace(one, plan_for(["0.gelu"]))
    replace(two, plan_for(["0.gelu"], gelu=coarse))
    fine, rough = module("gelu"), module_of(coarse.spec)
    exact = F.gelu(X)
    assert torch.equal(one(two(X)) + F.gelu(X), fine(rough(X)) + exact)
    # One inside of the other's run, at a place that is no module of it.
    outer = Calls(lambda x: F.gelu(two(x)))
    replace(outer, plan_for(["gelu"]), strict=True)
    assert torch.equal(outer(X), fine(rough(X)))


@pytest.mark.parametrize("low", [-math.inf, torch.finfo(torch.float32).min, -10000.0])
def test_masked_keys_are_as_good_as_none(low):
    mask = torch.zeros(5)
    mask[3:] = low
    model = Calls(lambda q, k, v, m: torch.softmax(q @ k.transpose(-2, -1) / 3 + m, -1) @ v)
    q, k, v = HEADS
    with replaced(model, plan_for(["softmax"]), strict=True):
        short = model(q, k[..., :3, :], v[..., :3, :], mask[:3])
        assert torch.allclose(model(q, k, v, mask), short, atol=1e-6)
        assert not model(q, k, v, torch.full((5,), low)).any()


def test_inference_mode_autocast_and_half_precision():
    model = block()
    with replaced(model, plan_for(BLOCK), strict=True):
        wanted = model(X)
        with torch.inference_mode():
            assert torch.equal(model(X), wanted)
        assert torch.equal(model(X.clone().requires_grad_()), wanted)
        with torch.autocast("cpu", torch.bfloat16):
            found = model(X)
        model.bfloat16()
        assert model(X.bfloat16()).dtype == torch.bfloat16
    model.float()
    with torch.autocast("cpu", torch.bfloat16):
        exact = model(X)
    assert found.dtype == exact.dtype
    assert torch.allclose(found.float(), wanted, atol=0.05)


def test_autocast_widens_as_torch_does(monkeypatch):
    from nnlut_train.network import calls

    model = nn.Softmax(-1)
    monkeypatch.setitem(calls.PROBES, "softmax", lambda x: x.float())
    x = X.bfloat16()
    with replaced(model, plan_for(["softmax"])):
        assert model(x).dtype == torch.bfloat16
        with torch.autocast("cpu", torch.bfloat16):
            y = model(x)
    assert y.dtype == torch.float32
    assert torch.equal(y, module("softmax")(x.float()))


def test_modules_that_are_functions_by_another_name():
    class MyGELUActivation(nn.Module):
        def forward(self, hidden):
            return 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))

    class CallsGELU(nn.Module):
        def forward(self, x):
            return F.gelu(x)

    class FastSiLU(nn.Module):  # called so, and another function
        def forward(self, x):
            return x * torch.sigmoid(1.702 * x)

    class MyRMSNorm(nn.Module):
        def __init__(self, offset=0.0):
            super().__init__()
            self.weight, self.eps = nn.Parameter(1 - offset + 0.1 * data(8)), 1e-6
            self.offset = offset

        def forward(self, x, gate=None):
            x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
            x = x * (self.weight + self.offset)
            return x if gate is None else x * F.silu(gate)

    class OldLayerNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(1 + data(8)), nn.Parameter(data(8))
            self.variance_epsilon = 1e-5

        def forward(self, x):
            u = x.mean(-1, keepdim=True)
            s = (x - u).pow(2).mean(-1, keepdim=True)
            return self.weight * (x - u) / torch.sqrt(s + self.variance_epsilon) + self.bias

    with torch.no_grad():
        check(MyGELUActivation(), ["gelu"], module("gelu")(X), X)
        check(MyGELUActivation(), ["gelu"], module("gelu")(X), hidden=X)
        # Met as the call that it makes, so that it is not computed twice.
        assert known(MyGELUActivation()).op == "gelu"
        assert known(CallsGELU()) is None
        check(CallsGELU(), ["gelu"], module("gelu")(X), X)
        check(FastSiLU(), ["sigmoid"], X * module("sigmoid")(1.702 * X), X)
        for offset in (0.0, 1.0):
            norm = MyRMSNorm(offset)
            check(norm, ["rmsnorm"], module("rmsnorm")(X, norm.weight + offset), X)
        norm = OldLayerNorm()
        check(norm, ["layernorm"], module("layernorm")(X, norm.weight, norm.bias), X)
        # With a gate it is another function: what it is made of is met.
        with replaced(norm := MyRMSNorm(), plan_for(["rmsnorm", "silu"])) as report:
            found = norm(X, X)
        assert set(report.left) == {"rsqrt"}
        assert set(report.replaced) == {"silu"}
        assert torch.allclose(found, norm(X) * module("silu")(X), atol=1e-6)
        # Copies have their own weights.
        replace(norm, plan_for(["rmsnorm"]))
        late = copy.deepcopy(norm)
        late.weight.data *= 0.5
        assert torch.equal(late(X), module("rmsnorm")(X, late.weight))


def test_functions_of_ones_own():
    model = block()
    given = []

    def norm(x, weight, bias, eps):
        given.append((x.shape, weight is model[2].weight, bias is model[2].bias, eps))
        return F.layer_norm(x, x.shape[-1:], weight, bias, eps)

    functions = {"softmax": lambda x: x.exp() * 0 + x.shape[-1], "2.layernorm": norm}
    with functions_replaced(model, functions) as report:
        assert torch.equal(model(X), torch.full_like(X, 8.0))
    assert given == [(X.shape, True, True, 1e-5)]
    assert report.replaced == {"2.layernorm": "2.layernorm", "4.softmax": "softmax"}
    assert report.left == {"1.gelu": "no function was given"}
    # Rows are in the last dimension, whatever the model's.
    with functions_replaced(m := nn.Softmax(1), {"softmax": lambda x: x.cumsum(-1)}):
        assert torch.equal(m(X), X.cumsum(1))


@pytest.mark.parametrize("name", ["layer_norm", "7.softmax", "1.relu", "1"])
def test_functions_must_be_of_something(name):
    model = block()
    message = rf"^functions must be of sites, or of .*, not of '{name}'$"
    named = functions_replaced(model, {name: F.softmax})
    with pytest.raises(UsageError, match=message), named:
        pass
    with functions_replaced(model, {"4.softmax.3": F.softmax}):
        pass
