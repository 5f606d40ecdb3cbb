"""What the tests of replaced networks share."""

from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from hw.design import design
from hw.plan import Plan, PlannedSite, PlannedUnit
from hw.request import Request
from nnlut_train.functions import FUNCTIONS
from nnlut_train.modules import module_of
from nnlut_train.network import replaced

#: One small unit of each sort, by operation.
OPTIONS = {
    "softmax": {"bits": 8, "input_frac": 4, "length": 32, "mask": True, "arch": "direct"},
    "layernorm": {"bits": 12, "length": 32, "output_bits": 12, "tables": "writable", "entries": 8},
    "rmsnorm": {"bits": 12, "length": 32, "output_bits": 12, "tables": "writable", "entries": 8},
    "gelu": {"bits": 8, "arch": "direct"},
    "gelu_tanh": {"bits": 8, "arch": "direct"},
    "silu": {"bits": 8, "arch": "direct"},
    "sigmoid": {"bits": 8, "arch": "direct"},
}


@cache
def unit(op, **options):
    request = Request(op, **(OPTIONS.get(op, {"bits": 8, "arch": "direct"}) | options))
    arch = request.wanted[0]
    return PlannedUnit(request, arch, design(request, arch))


def plan_for(sites, **units):
    """Return a plan of sites, by the operation that each ends in, on units of `OPTIONS`."""
    planned, used = {}, {}
    for site in sites:
        op = next(part for part in reversed(site.split(".")) if not part.isdecimal())
        used[op] = units.get(op) or unit(op)
        planned[site] = PlannedSite(op, op)
    return Plan(used, planned, {})


class Calls(nn.Module):
    """A module whose forward is a function of its own."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *args, **kwargs):
        return self.function(*args, **kwargs)


def as_module(call):
    return call if isinstance(call, nn.Module) else Calls(call)


def module(op):
    return module_of(unit(op).spec, FUNCTIONS.get(op))


def data(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def check(model, sites, wanted, *args, **kwargs):
    """Check that a model's result is `wanted` when these sites are replaced, and nothing is left.

    And that it is what it was afterwards.
    """
    exact = model(*args, **kwargs)
    with replaced(model, plan_for(sites), strict=True) as report:
        found = model(*args, **kwargs)
    assert torch.equal(found, wanted)
    assert not torch.equal(found, exact)
    assert list(report.replaced) == list(sites)
    assert report.left == {}
    assert report.unseen == ()
    assert torch.equal(model(*args, **kwargs), exact)


def randomised(norm):
    for seed, parameter in enumerate(norm.parameters()):
        parameter.data = 1 + 0.3 * data(*parameter.shape, seed=seed)
    return norm


def block():
    torch.manual_seed(3)
    layers = nn.Linear(8, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 8), nn.Softmax(-1)
    return nn.Sequential(*layers)


BLOCK = ["1.gelu", "2.layernorm", "4.softmax"]


X = data(4, 6, 8)
#: Queries, keys and values.
HEADS = [data(2, 4, 5, 8, seed=seed) for seed in range(3)]


@pytest.fixture(autouse=True)
def untouched():
    """Whatever a test did, torch computes as before, in one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    x = data(3, 5)
    wanted = F.softmax(x, -1)
    yield
    assert torch.overrides._len_torch_function_stack() == 0
    assert torch.equal(F.softmax(x, -1), wanted)
    torch.set_num_threads(threads)
