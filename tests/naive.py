"""The golden models once more, in Python integers and fractions, one element at a time."""

from fractions import Fraction

from sim.golden import DirectSpec, ExpSpec, LogSpec, PwlSpec, SineSpec


def half_up(value):
    """The integer nearest to a fraction; a tie goes up."""
    return (value + Fraction(1, 2)).__floor__()


def limit(value, form):
    top = 2 ** (form.bits - 1) if form.signed else 2**form.bits
    return max(-top if form.signed else 0, min(top - 1, value))


def naive_fold(fold, q):
    """The magnitude of an argument, limited to what the table has."""
    return q if fold is None else min(abs(q), 2**fold.magnitude.bits - 1)


def naive_unfold(table, q, real):
    """The function at the argument `q` from the core at its magnitude, both real."""
    kind = "even" if table.fold is None else table.fold.kind
    if kind == "relu":
        return max(Fraction(q) / Fraction(2) ** table.input.frac, 0) - real
    if kind == "even" or q >= 0:
        return real
    return 1 - real if kind == "complement" else -real


def naive_pwl(table, argument):
    q, segment = naive_fold(table.fold, argument), 0
    for edge in table.breakpoints:
        if q >= edge:
            segment += 1
    real = (
        Fraction(table.slopes[segment]) / Fraction(2) ** table.slope.frac
        * Fraction(q) / Fraction(2) ** table.input.frac
        + Fraction(table.intercepts[segment]) / Fraction(2) ** table.intercept.frac
    )  # fmt: skip
    real = naive_unfold(table, argument, real)
    return limit(half_up(real * Fraction(2) ** table.output.frac), table.output)


def naive_direct(table, q):
    if table.fold is None:
        return table.values[q + (2 ** (table.input.bits - 1) if table.input.signed else 0)]
    real = Fraction(table.values[naive_fold(table.fold, q)]) / Fraction(2) ** table.value.frac
    real = naive_unfold(table, q, real)
    return limit(half_up(real * Fraction(2) ** table.output.frac), table.output)


def naive_exp(spec, q):
    # The argument times log2(e), cut to the table's resolution.
    power = (
        Fraction(q * spec.factor, 2**spec.factor_frac)
        / Fraction(2) ** spec.input.frac
        * 2**spec.fraction.input.frac
    ).__floor__()
    exponent, fraction = divmod(power, 2**spec.fraction.input.frac)
    mantissa = Fraction(naive(spec.fraction, fraction)) / Fraction(2) ** spec.fraction.output.frac
    exact = mantissa * Fraction(2) ** exponent * Fraction(2) ** spec.output.frac
    if exponent >= spec.output.bits - spec.output.signed - spec.output.frac:
        return limit(2**60, spec.output)
    return limit(half_up(exact), spec.output)


def naive_normal(x, base):
    """The m in [1, base) and the integer k with x = m * base**k."""
    k = 0
    while x >= Fraction(base) ** (k + 1):
        k += 1
    while x < Fraction(base) ** k:
        k -= 1
    return x / Fraction(base) ** k, k


def naive_reciprocal(spec, q):
    if q == 0:
        return 2**spec.output.bits - 1 if spec.inverse else 0
    m, k = naive_normal(Fraction(q) / Fraction(2) ** spec.input.frac, 4 if spec.root else 2)
    inner = spec.mantissa.input
    seen = ((m if spec.root else m - 1) * Fraction(2) ** inner.frac).__floor__()
    value = Fraction(naive(spec.mantissa, seen)) / Fraction(2) ** spec.mantissa.output.frac
    # 1/sqrt(m 4**k) = 2**-k / sqrt(m), 1/(m 2**k) = 2**-k / m, and sqrt(m 4**k) = 2**k sqrt(m).
    power = Fraction(2) ** (-k if spec.inverse else k)
    return limit(half_up(value * power * Fraction(2) ** spec.output.frac), spec.output)


def naive_sine(spec, q):
    # In quarter turns, cut to the table's resolution.
    steps = 2**spec.quarter.input.frac
    turn = Fraction(q * spec.factor, 2**spec.factor_frac) / Fraction(2) ** spec.input.frac
    quarter, fraction = divmod((turn * steps).__floor__(), steps)
    quarter = (quarter + (1 if spec.cosine else 0)) % 4
    seen = fraction if quarter in (0, 2) else steps - 1 - fraction
    value = Fraction(naive(spec.quarter, seen)) / Fraction(2) ** spec.quarter.output.frac
    value = value if quarter < 2 else -value
    return limit(half_up(value * Fraction(2) ** spec.output.frac), spec.output)


def naive_log(spec, q):
    if q == 0:
        return limit(-(2**60), spec.output)
    m, k = naive_normal(Fraction(q) / Fraction(2) ** spec.input.frac, 2)
    seen = ((m - 1) * Fraction(2) ** spec.mantissa.input.frac).__floor__()
    value = Fraction(naive(spec.mantissa, seen)) / Fraction(2) ** spec.mantissa.output.frac
    total = value + k * Fraction(spec.factor, 2**spec.factor_frac)
    return limit(half_up(total * Fraction(2) ** spec.output.frac), spec.output)


def naive(spec, q):
    if isinstance(spec, PwlSpec):
        return naive_pwl(spec.table, q)
    if isinstance(spec, DirectSpec):
        return naive_direct(spec.table, q)
    if isinstance(spec, LogSpec):
        return naive_log(spec, q)
    if isinstance(spec, SineSpec):
        return naive_sine(spec, q)
    return (naive_exp if isinstance(spec, ExpSpec) else naive_reciprocal)(spec, q)


def naive_distance(spec, d):
    """What exp sees of an exact distance."""
    real = Fraction(d) / Fraction(2) ** spec.input.frac
    return limit(half_up(real * Fraction(2) ** spec.exp.input.frac), spec.exp.input)


def naive_softmax(spec, row):
    peak = max(row)
    exponentials = [naive(spec.exp, naive_distance(spec, peak - q)) for q in row]
    total = 0
    for exponential in exponentials:
        total += exponential
    inverse = naive(spec.reciprocal, total)
    scale = Fraction(2) ** (spec.exp.output.frac + spec.reciprocal.output.frac)
    return [
        limit(half_up(e * inverse / scale * Fraction(2) ** spec.output.frac), spec.output)
        for e in exponentials
    ]
