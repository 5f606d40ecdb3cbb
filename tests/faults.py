"""What the tests that plant faults share."""

import pytest

from hw.design import design
from hw.request import Request
from hw.units import unit_of
from nnlut_train.direct import direct_table
from nnlut_train.errors import StepError
from nnlut_train.folding import fold_for
from nnlut_train.functions import FUNCTIONS
from sim.bench import run_bench
from sim.golden import DirectSpec


def spec_of(op, bits=8, arch="pwl", **options):
    return design(Request(op, bits, arch=arch, **options), arch)


def folded_spec(op, bits, arch, **options):
    """The folded unit, also where folding does not pay."""
    spec = spec_of(op, bits, arch, **options)
    if arch == "direct" and spec.table.fold is None:
        function, inputs, output = FUNCTIONS[op], spec.input, spec.output
        target = function(inputs.real(inputs.codes()))
        fold = fold_for(function, function.reduction, inputs, output, rounded=True)
        spec = DirectSpec(direct_table(op, target, inputs, output, fold=fold))
    assert spec.table.fold.kind == FUNCTIONS[op].reduction
    return spec


UNITS = {
    "pwl": lambda: spec_of("gelu"),
    "direct": lambda: spec_of("gelu", arch="direct"),
    "folded direct": lambda: folded_spec("sigmoid", 8, "direct"),
    "plain pwl": lambda: spec_of("gelu", fold="none"),
    "exp": lambda: spec_of("exp"),
    "reciprocal": lambda: spec_of("reciprocal"),
    "rsqrt": lambda: spec_of("rsqrt"),
    "log": lambda: spec_of("log"),
    "sine": lambda: spec_of("sin", input_frac=3),
    "softmax": lambda: spec_of("softmax", 6, length=8),
    "softmax direct": lambda: spec_of("softmax", 6, arch="direct", length=8),
}


def caught(spec, unit=None, runs=None):
    """Return what the bench says of a unit that has a fault."""
    with pytest.raises(StepError) as raised:
        run_bench(spec, unit_of(spec) if unit is None else unit, runs)
    return str(raised.value)
