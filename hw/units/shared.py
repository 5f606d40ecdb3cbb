"""Several functions by one multiply-add: a beat's user bits choose the table."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Mux, Shape, Signal, Value, signed

from nnlut_train.formats import Format
from nnlut_train.tables import PwlTable
from sim.golden import SharedSpec
from sim.golden.shared import total

from ..fixed import fits, saturate, select
from ..pipeline import Pipe
from .fold import magnitude
from .pwl import comparator_tree
from .unary import Unary, stages

__all__ = ["Shared"]


class Shared(Unary):
    """Several functions as straight lines; latency 3, throughput 1 beat a clock.

    The stages: a comparator tree a function, of which ``user`` selects slope and intercept, which
    take the sign of a folded argument; multiply-add with the rounding; saturation. The code itself
    is multiplied, not its magnitude: of a negative argument, unfolding is another line (of an odd
    function, ``-(s |x| + b) = s x - b``), so that nothing is left to do behind the multiplier.

    Parameters: `Unary`. Members, beside those of `Unary`: ``i`` carries ``user``, the function's
    number.
    """


def _kind(table: PwlTable) -> str:
    return "" if table.fold is None else table.fold.kind


def _ramp(table: PwlTable) -> int:
    """Return the slope of x itself where the function is folded to max(x, 0) - core, else 0."""
    return 1 << table.slope.frac if _kind(table) == "relu" else 0


def _negates(table: PwlTable, negative: bool) -> tuple[bool, bool]:
    """Return whether unfolding negates the slope, and the intercept, on one side of 0."""
    kind = _kind(table)
    slope = (kind == "even" and negative) or (kind == "relu" and not negative)
    return slope, kind == "relu" or (negative and kind in ("odd", "complement"))


def _bias(spec: SharedSpec, table: PwlTable, negative: bool) -> int:
    """Return the constant of the sum: it rounds, ends negations, and makes signed results offset.

    Results of a signed output are above 2**(bits - 1), so that all functions saturate alike.
    """
    bias = (1 << spec.shift) >> 1
    bias += _negates(table, negative)[1] << spec.align
    if _kind(table) == "complement" and negative:
        bias += 1 << (table.slope.frac + table.input.frac)
    return bias + (-table.output.min << spec.shift)


def _slopes(table: PwlTable, fixed: bool) -> tuple[int, int]:
    """Return the smallest and the largest factor of the code, of these or of any coefficients."""
    low, high = (min(table.slopes), max(table.slopes)) if fixed else (
        table.slope.min, table.slope.max
    )  # fmt: skip
    if _kind(table) in ("even", "relu"):
        return min(low, _ramp(table) - high), max(high, _ramp(table) - low)
    return low, high


def _sums(spec: SharedSpec, table: PwlTable, fixed: bool) -> tuple[int, int]:
    """Return between what the sum with its bias is, of these or of any coefficients."""
    form, offset = table.input, (-table.output.min << spec.shift) + ((1 << spec.shift) >> 1)
    if fixed:
        # Lines are steepest nowhere: the extremes are at the ends of a segment.
        edges = {0, -1, form.min, form.max}
        edges |= {sign * (edge - step) for edge in table.breakpoints
                  for sign in (1, -1) for step in (0, 1)}  # fmt: skip
        values = total(table, [edge for edge in edges if form.min <= edge <= form.max])
        return int(values.min()) + offset, int(values.max()) + offset
    largest = max(-form.min, form.max)
    reach = largest * max(map(abs, _slopes(table, fixed)))
    reach += max(-table.intercept.min, table.intercept.max + 1) << spec.align
    reach += abs(_bias(spec, table, True)) + abs(_bias(spec, table, False))
    return -reach, reach


def _hull(ranges: Sequence[tuple[int, int]]) -> Shape:
    """Return the narrowest shape that holds all ranges, and 0."""
    return Shape.cast(range(min(0, *(low for low, _ in ranges)),
                            max(0, *(high for _, high in ranges)) + 1))  # fmt: skip


@stages.register
def _(spec: SharedSpec, pipe: Pipe, code: Value) -> Value:
    """Add the three stages to `pipe` and return the result."""
    m, tables, user = pipe.m, spec.functions, pipe.user
    assert user is not None
    last = tables[-1]
    choices = [*tables, *[last] * ((1 << spec.user_bits) - len(tables))]
    word = code.as_unsigned()
    negative = word[-1]
    lines, fixed = [], True
    for table in tables:
        breakpoints, slopes, intercepts = pipe.store.lines(table)
        fixed &= all(isinstance(value, Const) for value in (*breakpoints, *slopes, *intercepts))
        argument = magnitude(word.as_signed() if table.input.signed else word, table.fold)
        lines.append((comparator_tree(argument, breakpoints, slopes),
                      comparator_tree(argument, breakpoints, intercepts)))  # fmt: skip
    lines += [lines[-1]] * (len(choices) - len(lines))
    slopes, intercepts = zip(*lines, strict=True)
    # Negative numbers are taken from one's complement: the bias adds what is lacking.
    flips = [[Const(_negates(table, side)[part], 1) for table in choices for side in (False, True)]
             for part in (0, 1)]  # fmt: skip
    at = Cat(negative, user)
    steepness = Signal(_hull([_slopes(table, fixed) for table in tables]), name=f"{pipe.name}slope")
    chosen, ramp = select(user, slopes), select(user, [Const(_ramp(table)) for table in choices])
    m.d.comb += steepness.eq(Mux(select(at, flips[0]), ramp - chosen, chosen))
    chosen = select(user, intercepts)
    width = chosen.shape().width + (not chosen.shape().signed)
    height = Signal(signed(width), name=f"{pipe.name}height")
    m.d.comb += height.eq(chosen)
    flip = select(at, flips[1])
    signs = [Const(table.input.signed, 1) for table in choices]
    if len({table.input.signed for table in tables}) > 1:
        factor = Cat(word, negative & select(user, signs)).as_signed()
    else:
        factor = word.as_signed() if last.input.signed else word
    slope, intercept, code, user = pipe.cut(
        slope=steepness,
        intercept=(height.as_unsigned() ^ flip.replicate(width)).as_signed(),
        code=factor,
        user=user,
    )
    shape = _hull([_sums(spec, table, fixed) for table in tables])
    biases = [Const(_bias(spec, table, side) % (1 << shape.width), shape.width)
              for table in choices for side in (False, True)]  # fmt: skip
    value = Signal(shape, name=f"{pipe.name}sum")
    bias = select(Cat(code[spec.input.bits - 1], user), biases)
    total = slope * code + (intercept << spec.align) + bias
    fits(m, total, shape.width, "sum", signed=shape.signed)
    m.d.comb += value.eq(total)
    value, offset = pipe.cut(
        sum=value >> spec.shift,
        offset=select(user, [Const(table.output.signed, 1) for table in choices]),
    )
    limited = saturate(value, Format(False, spec.output.bits, 0))
    (result,) = pipe.cut(result=Cat(limited[:-1], limited[-1] ^ offset))
    return result.as_signed() if spec.output.signed else result
