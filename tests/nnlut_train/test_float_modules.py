"""Floating-point tables in torch, and in pictures: what works, and what is refused."""

import numpy as np
import pytest

from hw.design import design
from hw.request import Request
from nnlut_train import files, plot
from nnlut_train.errors import UsageError
from nnlut_train.float_table import FloatTable
from nnlut_train.floats import FLOATS

PRECISIONS = tuple(FLOATS)


def spec_of(precision, **options):
    return design(Request("gelu", precision=precision, entries=8, **options), "pwl")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_there_is_no_picture_of_a_table_of_floats(precision, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    files.save(spec_of(precision).table, tmp_path / "t.json")
    assert plot.main(["t.json", "--out", "p.svg"]) == 2
    message = "pictures are of tables in fixed point, whose codes have one scale, not of"
    assert capsys.readouterr().err.endswith(f": {message} {precision}\n")
    assert not (tmp_path / "p.svg").exists()


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="needs torch: pip install 'nnlut[train]'")


@pytest.mark.parametrize("options", [{}, {"tables": "writable"}, {"lanes": 2}])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_module_computes_what_numpy_does(precision, options, torch):
    from nnlut_train.modules import FloatActivation, module_of

    spec, form = spec_of(precision, **options), FLOATS[precision]
    module, table = module_of(spec), spec.bare.table
    assert isinstance(module, FloatActivation)
    assert isinstance(table, FloatTable)
    x = np.random.default_rng(1).normal(0, 4, (40, 5))
    x[0] = 0.0, -0.0, np.inf, -np.inf, 1e-7
    x = x.astype(np.float32).astype(np.float64)
    numbers = x.astype(form.dtype)
    i = table.segment(form.pattern(numbers))
    slopes, intercepts = (form.numbers(v)[i] for v in (table.slopes, table.intercepts))
    wanted = (slopes * numbers + intercepts).astype(np.float64)
    for dtype in (torch.float64, torch.float32):
        real = torch.from_numpy(x).to(dtype).requires_grad_()
        y = module(real)
        assert (y.dtype, y.shape) == (dtype, real.shape)
        assert np.array_equal(y.detach().double().numpy(), wanted)
        y.sum().backward()
        assert np.array_equal(real.grad.double().numpy(), slopes.astype(np.float64))
    codes = torch.from_numpy(form.pattern(x))
    assert torch.equal(module.quantize(torch.from_numpy(x)), codes)
    assert torch.equal(module.compute(codes), torch.from_numpy(form.pattern(wanted)))
    assert precision in repr(module)


def test_float64_is_rounded_once(torch):
    from nnlut_train.modules import module_of

    # By way of float32 it would be a tie, and go down to 1.
    x = torch.tensor([1 + 2.0**-11 + 2.0**-30], dtype=torch.float64)
    assert module_of(spec_of("fp16")).quantize(x).tolist() == [0x3C01]


def test_what_is_no_number_or_no_code_is_refused(torch):
    from nnlut_train.modules import module_of

    module = module_of(spec_of("fp16"))
    with pytest.raises(UsageError, match=r"^what is quantised must be numbers, not NaN$"):
        module(torch.tensor([0.0, float("nan")]))
    with pytest.raises(UsageError, match=r"^codes of format u16\.0 must be 0 to 65535, not -1"):
        module.compute(torch.tensor([-1]))
