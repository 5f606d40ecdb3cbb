"""Pairs of floating-point numbers that strain multiplication and addition."""

import random


def specials(form):
    """Return codes at the ends of every range, both signs."""
    fraction, one = form.fraction_bits, form.bias << form.fraction_bits
    least, sign = 1 << fraction, 1 << (form.bits - 1)
    codes = [
        0, 1, 2, 3, least - 1, least, least + 1, one - 1, one, one + 1, one | least >> 1,
        form.infinity - 2, form.infinity - 1, form.infinity, form.infinity + 1, form.nan,
        form.nan + 1, sign - 1,
    ]  # fmt: skip
    return [*codes, *(code | sign for code in codes)]


def pairs(form, count, seed):
    """Return every pair of `specials`, and `count` random pairs of codes.

    A third are of any codes; the others almost cancel, are of exponents so near that a sum is
    rounded (and often a tie), or have products near the least normal number.
    """
    draw, fraction, top = random.Random(seed), form.fraction_bits, form.bits - 1
    found = [(a, b) for a in specials(form) for b in specials(form)]
    for _ in range(count):
        a, kind = draw.getrandbits(form.bits), draw.randrange(6)
        exponent = a >> fraction & form.exponent_max
        if kind < 2:
            b = draw.getrandbits(form.bits)
        elif kind == 2:
            b = (a ^ 1 << top) + draw.randint(-3, 3)
        else:
            near = exponent if kind < 5 else form.bias - exponent
            near += draw.randint(-fraction - 3, 3)
            short = draw.getrandbits(fraction) & -(1 << draw.randint(0, fraction))
            near = max(0, min(form.exponent_max, near))
            b = draw.getrandbits(1) << top | near << fraction | short
        found.append((a, b % (1 << form.bits)))
    return found
