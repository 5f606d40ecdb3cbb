"""The torch module of a softmax whose exp table sees less than the exact distance."""

import numpy as np
import pytest
from faults import spec_of

from sim.stimuli import corner_rows

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    "options",
    [
        {"bits": 12, "input_frac": 6, "distance_bits": 8, "output_bits": 8},
        {"bits": 8, "distance_bits": 5, "distance_frac": 4},
        {"bits": 7, "distance_bits": 4, "distance_frac": -4},
    ],
)
@pytest.mark.parametrize("arch", ["pwl", "direct"])
def test_it_computes_what_the_hardware_does(options, arch):
    from nnlut_train.modules import module_of

    spec = spec_of("softmax", arch=arch, length=16, mask=True, **options)
    rows = np.array([row for row in corner_rows(spec) if len(row) == 16])
    rng = np.random.default_rng(0)
    rows = np.concatenate([rows, rng.integers(spec.input.min, spec.input.max + 1, (500, 16))])
    mask = rng.random(rows.shape) < rng.choice([0.0, 0.3, 1.0], (len(rows), 1))
    wanted = spec.compute(rows, mask)
    assert (module_of(spec).compute(torch.tensor(rows), torch.tensor(mask)).numpy() == wanted).all()
