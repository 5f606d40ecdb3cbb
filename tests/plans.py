"""What the tests of plans share."""

from functools import cache

import numpy as np

from hw.design import design
from hw.plan import Plan, PlannedSite, PlannedUnit
from hw.request import Request
from nnlut_train.tables import digest


def planned(op, arch="pwl", **options):
    request = Request(op, **options)
    return PlannedUnit(request, arch, design(request, arch))


@cache
def small_plan():
    """A plan with a unit of each sort that a plan can have, and sites of all."""
    units = {
        "softmax8": planned("softmax", bits=6, length=8, entries=4),
        "act": planned("gelu,tanh", bits=6, entries=4),
        "silu8": planned("silu", "direct", domain=(-4.0, 4.0)),
        "norm": planned("layernorm", bits=8, length=6, entries=4, tables="writable"),
        "rms": planned("rmsnorm", "direct", bits=8, length=4),
    }
    sites = {
        "layer.0.softmax": PlannedSite("softmax", "softmax8"),
        "layer.0.gelu": PlannedSite("gelu", "act"),
        "layer.0.tanh": PlannedSite("tanh", "act"),
        "layer.1.silu": PlannedSite("silu", "silu8"),
        "norm.layernorm": PlannedSite("layernorm", "norm", (1, -2, 3), np.array([4, 5, 6])),
        "layernorm": PlannedSite("layernorm", "norm", beta=[7] * 6),
        "rmsnorm": PlannedSite("rmsnorm", "rms"),
    }
    return Plan(units, sites, {"model": "a model", "seeds": (1, 2), "loss": 0.1, "note": None})


def resigned(data):
    """Return the data of a plan with the checksum that it then has."""
    rest = {name: value for name, value in data.items() if name != "checksum"}
    return rest | {"checksum": digest(rest)}
