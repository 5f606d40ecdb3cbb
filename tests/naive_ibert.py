"""I-BERT's arithmetic once more, in Python integers and fractions, one element at a time."""

import math
from fractions import Fraction

import numpy as np
from naive import half_up, limit

from hw.design import design
from hw.request import Request


def ibert(op, bits=None, **options):
    request = Request(op, bits, method="ibert", **options)
    return design(request, *request.possible)


def dyadic(spec):
    return Fraction(spec.factor) / Fraction(2) ** spec.factor_frac


def naive_iexp(spec, code):
    scale = Fraction(2) ** -(spec.input.frac + spec.guard)
    q = (-code if spec.negated else code) * 2**spec.guard
    z = 0
    while q > 0:
        q, z = q - spec.ln2, z - 1
    while q <= -spec.ln2:
        q, z = q + spec.ln2, z + 1
    value = ((q + spec.b) ** 2 + spec.c) * scale**2 * dyadic(spec) / Fraction(2) ** z
    return limit(half_up(value * Fraction(2) ** spec.output.frac), spec.output)


def naive_igelu(spec, code):
    scale = Fraction(2) ** -(spec.input.frac + spec.guard)
    q = code * 2**spec.guard
    magnitude = min(abs(q), -spec.b)
    erf = (magnitude + spec.b) ** 2 + spec.c
    erf = erf if q > 0 else -erf if q < 0 else 0
    inner = Fraction(erf, 2**spec.shift).__floor__() + spec.erf_one
    # a / k**2 stands for a, and the argument of L for x / k.
    value = q * scale * inner * scale**2 * dyadic(spec) * 2**spec.shift / 2
    return limit(half_up(value * Fraction(2) ** spec.output.frac), spec.output)


def naive_newton(n, iterations):
    """Algorithm 4 of the paper: the loop that returns as soon as it no longer falls."""
    if n == 0:
        return 0
    x = 2 ** math.ceil(n.bit_length() / 2)
    for _ in range(iterations):
        new = (x + n // x) // 2
        if new >= x:
            return x
        x = new
    return x


def naive_isqrt(spec, code):
    n = Fraction(code) * Fraction(2) ** (2 * (spec.output.frac + spec.guard) - spec.input.frac)
    assert n.denominator == 1
    root = naive_newton(int(n), spec.iterations)
    return limit(half_up(Fraction(root, 2**spec.guard)), spec.output)


def naive_softmax(spec, row, mask=None):
    mask = [False] * len(row) if mask is None else mask
    kept = [code for code, masked in zip(row, mask, strict=True) if not masked]
    if not kept:
        return [0] * len(row)
    exponentials = [naive_iexp(spec.exp, max(kept) - code) for code in kept]
    factor = 2**32 // sum(exponentials)
    results = []
    for code, masked in zip(row, mask, strict=True):
        e = 0 if masked else naive_iexp(spec.exp, max(kept) - code)
        share = Fraction(e * factor, 2**32) * Fraction(2) ** spec.output.frac
        results.append(limit(share.__floor__(), spec.output))
    return results


def naive_norm(spec, row):
    n, q = len(row), [code * 2**spec.guard for code in row]
    mean = half_up(Fraction(sum(q), n))
    y = [code - mean for code in q]
    variance = sum(Fraction(v, 2**spec.shift).__floor__() ** 2 for v in y)
    assert variance < 2**32
    root = naive_newton(variance, 4)
    factor = 2**31 // (max(root, 1) * 2**spec.shift)
    scale = Fraction(int(spec.roots.compute(np.array(n)))) / Fraction(2) ** spec.roots.output.frac
    return [
        limit(half_up(Fraction(v * factor, 2).__floor__() * scale / 2**30
                      * Fraction(2) ** spec.output.frac), spec.output)
        for v in y
    ]  # fmt: skip
