"""What the tests of hw share."""

import pytest
from building import small
from faults import UNITS

from hw.units import unit_of
from sim.bench import run_bench


@pytest.fixture(scope="module", params=UNITS)
def any_spec(request):
    """A specification whose unit passes the bench."""
    spec = UNITS[request.param]()
    run_bench(spec, unit_of(spec))
    return spec


@pytest.fixture
def small_build(tmp_path, own_folder):
    """Build the 4-bit GELU for gates only."""
    folder = tmp_path / "work" / "out"
    small("--op", "gelu", "--bits", 4, "--arch", "direct", "--out", folder)
    return folder
