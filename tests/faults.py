"""What the tests that plant faults share."""

import pytest

from hw.design import design
from hw.request import Request
from hw.units import unit_of
from nnlut_train.errors import StepError
from sim.bench import run_bench


def spec_of(op, bits=8, arch="pwl", **options):
    return design(Request(op, bits, arch=arch, **options), arch)


UNITS = {
    "pwl": lambda: spec_of("gelu"),
    "direct": lambda: spec_of("gelu", arch="direct"),
    "exp": lambda: spec_of("exp"),
    "reciprocal": lambda: spec_of("reciprocal"),
    "rsqrt": lambda: spec_of("rsqrt"),
    "softmax": lambda: spec_of("softmax", 6, length=8),
    "softmax direct": lambda: spec_of("softmax", 6, arch="direct", length=8),
}


def caught(spec, unit=None, runs=None):
    """Return what the bench says of a unit that has a fault."""
    with pytest.raises(StepError) as raised:
        run_bench(spec, unit_of(spec) if unit is None else unit, runs)
    return str(raised.value)
