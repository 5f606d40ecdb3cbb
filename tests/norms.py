"""What the tests of LayerNorm and RMSNorm share."""

from fractions import Fraction

import numpy as np

from hw.design import design
from hw.request import Request

NORMS = ("layernorm", "rmsnorm")


def norm_spec(op="layernorm", arch="direct", **options):
    return design(Request(op, arch=arch, **options), arch)


def affine(length, gain=0.3):
    """Return gamma and beta for rows of `length`, as a request has them."""
    rng = np.random.default_rng(length)
    return {"gamma": tuple(rng.normal(1.0, gain, length).tolist()),
            "beta": tuple(rng.normal(0.0, 0.5, length).tolist())}  # fmt: skip


def _half_up(value, form):
    return min(max((value + Fraction(1, 2)).__floor__(), form.min), form.max)


def naive_norm(spec, row):
    """Return the results of one row by the definition, in fractions."""
    n, row = len(row), [int(q) for q in row]
    mean = Fraction(sum(row), n) if spec.centred else Fraction(0)
    variance = sum((q - mean) ** 2 for q in row) / n
    radicand = n * n * (variance + Fraction(spec.eps, 2**spec.eps_frac))
    k = 0
    while radicand >= 4 ** (k + 1):
        k += 1
    seen = (radicand / 4**k * 2**spec.mantissa.input.frac).__floor__()
    (mantissa,) = spec.mantissa.compute(np.array([seen])).tolist()
    results = []
    for at, q in enumerate(row):
        scaled = _half_up(n * (q - mean) / 2**k * Fraction(2) ** spec.scaled.frac, spec.scaled)
        real = Fraction(scaled * mantissa) / Fraction(2) ** (
            spec.scaled.frac + spec.mantissa.output.frac
        )
        z = _half_up(real * Fraction(2) ** spec.normal.frac, spec.normal)
        y = Fraction(z) / Fraction(2) ** spec.normal.frac
        if spec.gamma is not None:
            y *= Fraction(spec.gamma.values[at]) / Fraction(2) ** spec.gamma.output.frac
        if spec.beta is not None:
            y += Fraction(spec.beta.values[at]) / Fraction(2) ** spec.beta.output.frac
        results.append(_half_up(y * Fraction(2) ** spec.output.frac, spec.output))
    return results
