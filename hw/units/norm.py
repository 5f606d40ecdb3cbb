"""LayerNorm and RMSNorm of rows of any length, one beat a clock."""

from collections.abc import Callable, Iterator

from amaranth.hdl import Cat, Const, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data

from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable
from sim.golden import NormSpec

from ..fixed import claims_sum, clip, fits, round_shift, shape_of
from ..pipeline import Pipe
from .normalise import leading
from .queue import Queue
from .row_pass import Row, RowPass
from .row_unit import RowUnit
from .unary import emit

__all__ = ["Norm"]


#: Bits of a factor that one multiplier of any FPGA takes.
_LIMB = 17
#: Bits of a rest that is multiplied by additions.
_REST = 5


def _limbs(long: Value, short: Value) -> Iterator[tuple[int, Value]]:
    """Yield the products of an unsigned factor and parts of another, each with its part's place.

    Parts have `_LIMB` bits. A short rest is multiplied by additions, of two parts, as else one
    would be a long path.
    """
    at = 0
    while at < len(long):
        rest = len(long) - at
        size = _LIMB if rest > _REST else -(-rest // 2) if rest > 3 else rest
        limb = long[at : at + size]
        rows = (Mux(bit, short, 0) << place for place, bit in enumerate(limb))
        yield at, short * limb if rest > _REST else sum(rows, Const(0, 0))
        at += size


def _holding(largest: int) -> Shape:
    return unsigned(largest.bit_length())


class _Normalised(RowPass):
    """From elements to results: sums of the row, 1/sqrt, and a multiplication.

    Stages: ``spec.statistic_latency`` and ``spec.apply_latency``, which name them; no two
    multiplications are in one. Parameters and members: `RowPass`.
    """

    spec: NormSpec
    spare = True
    queue = Queue

    def __init__(self, spec: NormSpec) -> None:
        super().__init__(spec, shape_of(spec.input), shape_of(spec.output))
        largest = -spec.input.min
        #: n**2 is needed, and of one lane a sum of odd numbers, which takes no multiplier.
        self._counted = spec.eps > 0 and spec.lanes == 1
        #: What is accumulated.
        self.sums = data.StructLayout({
            "count": _holding(spec.length),
            "count2": _holding(spec.length**2 if self._counted else 0),
            "total": signed((spec.length * largest).bit_length() + 1),
            "squares": _holding(spec.length * largest**2),
        })  # fmt: skip
        #: What the elements meet.
        self.scalars = data.StructLayout({
            "count": self.sums["count"].shape,
            "total": self.sums["total"].shape if spec.centred else unsigned(0),
            "exponent": _holding(spec.exponent_max),
            "mantissa": shape_of(spec.mantissa.output),
        })  # fmt: skip

    def statistic(self, row: Row) -> Value:
        """Return the row's scalars: number, sum, exponent and mantissa of 1/sqrt(W)."""
        spec, pipe = self.spec, row.pipe
        sums = self._accumulated(row)
        start = pipe.stage
        wide = self._radicand(pipe, sums)
        # The table sees the two integer bits of m, and what follows them.
        form = spec.mantissa.input
        window, exponent = leading(
            pipe, wide, spec.eps_frac + 2 - form.bits, form.bits, 2, spec.exponent_max
        )
        counted = pipe.stage
        # A register behind a table, as behind the row buffer: block RAMs are slow to their outputs.
        (mantissa,) = pipe.cut(mantissa=emit(spec.mantissa, pipe, window))
        exponent = pipe.align(exponent, counted, "exponent")
        return Cat(
            pipe.align(sums.count, start, "count"),
            pipe.align(sums.total, start, "total") if spec.centred else Const(0, 0),
            fits(pipe.m, exponent, self.scalars["exponent"].width, "exponent"), mantissa,
        )  # fmt: skip

    def _accumulated(self, row: Row) -> data.View:
        """Return count, sum and sum of squares."""
        pipe, lanes = row.pipe, range(self.spec.lanes)
        elements = row.elements
        if self.spec.lanes > 1:
            elements = [Mux(here, q, 0) for here, q in zip(row.present, elements, strict=True)]
        squares = pipe.each(lambda lane, q: lane.cut(square=(q * q).as_unsigned())[0], elements)
        count, total, square = row.totals(
            count=row.here(),
            total=[pipe.align(elements[k], 0, f"element{k}") for k in lanes],
            square=squares,
        )
        added = {"count": count, "total": total, "squares": square}

        beats = self.spec.beats(self.spec.length)
        for name, value in added.items():
            claims_sum(pipe.m, value, beats, self.sums[name].width, name)

        def step(at: Value) -> Value:
            previous = self.sums(at)
            if self._counted:
                added["count2"] = Cat(Const(1, 1), previous.count)
            return Cat((previous[name] + added[name])[: self.sums[name].width] if name in added
                       else Const(0, 0) for name in self.sums.members)  # fmt: skip

        return self.sums(row.accumulate(unsigned(self.sums.size), step, 0, "sums"))

    def _radicand(self, pipe: Pipe, sums: data.View) -> Value:
        """Return W, with `eps_frac` fraction bits."""
        spec = self.spec
        parts = dict(_limbs(sums.squares, sums.count))
        products = {f"variance{at}": product for at, product in parts.items()}
        if spec.centred:
            products["mean"] = sums.total * sums.total
        if spec.eps:
            products["count2"] = sums.count2 if self._counted else sums.count * sums.count
        cut = dict(zip(products, pipe.cut(**products), strict=True))
        terms = {"variance": sum((cut[f"variance{at}"] << at for at in parts), Const(0, 0))}
        if spec.centred:
            terms["mean"] = cut["mean"]
        if spec.eps:
            terms["epsilon"] = cut["count2"] * Const(spec.eps)
        cut = dict(zip(terms, pipe.cut(**terms), strict=True))
        radicand, epsilon = cut["variance"], cut.get("epsilon")
        if spec.centred:
            # Never below 0 (Cauchy and Schwarz), and no longer than this.
            difference = fits(
                pipe.m, radicand - cut["mean"], spec.variance_max.bit_length(), "variance"
            )
            start = pipe.stage
            (radicand,) = pipe.cut(variance=difference)
            if epsilon is not None:
                epsilon = pipe.align(epsilon, start, "epsilon")
        radicand = radicand << spec.eps_frac
        if epsilon is not None:
            (radicand,) = pipe.cut(radicand=radicand + epsilon)
        return fits(pipe.m, radicand, spec.integer_bits + spec.eps_frac, "radicand")

    def before(self, row: Row) -> list[Value]:
        """Return the elements, one stage later."""
        return row.pipe.each(lambda lane, q: lane.cut(element=q)[0], row.elements)

    def apply(self, row: Row, statistic: Value) -> list[Value]:
        """Return the results."""
        spec, pipe = self.spec, row.pipe
        scalars = self.scalars(statistic)

        def scalar(name: str) -> Value:
            return pipe.align(scalars[name], 0, name)

        def stage(values: list[Value], name: str, build: Callable[[Value], Value]) -> list[Value]:
            return pipe.each(lambda lane, value: lane.cut(**{name: build(value)})[0], values)

        count = scalar("count")
        values = stage(row.elements, "multiple", lambda q: q * count)
        if spec.centred:
            total = scalar("total")
            values = stage(values, "numerator", lambda v: v - total)
        right = scalar("exponent") + spec.right
        # Twice the value: the half that decides on rounding is its lowest bit.
        wide = Format(True, spec.scaled.bits + 2, 0)
        values = stage(
            values, "coarse", lambda v: (v << spec.left + 1) >> Cat(Const(0, 2), right[2:])
        )
        right = pipe.align(right[:2], pipe.stage - 1, "fine_by")
        values = stage(values, "fine", lambda v: clip(v >> right, wide))
        values = stage(values, "scaled", lambda v: clip((v + 1) >> 1, spec.scaled))
        mantissa = scalar("mantissa")
        values = stage(values, "product", lambda v: v * mantissa)
        tables = _Tables(row, spec.length, spec.lanes)
        gammas = tables.read(spec.gamma, "gamma")
        betas = None if gammas else tables.read(spec.beta, "beta")
        values = stage(values, "normal", lambda v: clip(
            round_shift(v, spec.shift), spec.normal))  # fmt: skip
        if gammas:
            betas = tables.read(spec.beta, "beta")
            values = pipe.each(lambda lane, v, g: lane.cut(scaled=v * g)[0], values, gammas)
        if betas:
            values = [v + (b << spec.beta_left) for v, b in zip(values, betas, strict=True)]
        if gammas or betas:
            values = stage(values, "result", lambda v: clip(
                round_shift(v, spec.output_shift), spec.output))  # fmt: skip
        return values


class _Tables:
    """Gamma and beta as memories with one word a beat of the row.

    Parameters
    ----------
    row : Row
        The elements on their way to the results.
    length, lanes : int
        Values of the longest row, and of a word.
    """

    def __init__(self, row: Row, length: int, lanes: int) -> None:
        self.row, self.length, self.lanes = row, length, lanes
        self._beat: Value | None = None

    def read(self, table: DirectTable | None, name: str) -> list[Value]:
        """Return the lanes' values, one stage later than the present one; none without a table."""
        if table is None:
            return []
        pipe, lanes = self.row.pipe, self.lanes
        if self._beat is None:
            self._beat = self._counter(self.length // lanes)
        port = pipe.store.positions(pipe.m, table, self.length, lanes, name)
        # The port has the register of the stage.
        pipe.m.d.comb += [port.addr.eq(pipe.align(self._beat, 0, "beat")), port.en.eq(pipe.advance)]
        return list(port.data)

    def _counter(self, depth: int) -> Value:
        """Return the number of the beat in its row."""
        pipe, row = self.row.pipe, self.row
        beat = Signal(range(depth), name="beat")
        with pipe.m.If(pipe.advance & row.valid):
            pipe.m.d.sync += beat.eq(Mux(row.last, 0, beat + 1))
        return beat


class Norm(RowUnit):
    """LayerNorm or RMSNorm in one pass over a row.

    Elements enter the row buffer while their number, their sum and the sum of their squares are
    accumulated. From these come the radicand W and its reciprocal root, in a pipeline that takes a
    row a clock; then the elements leave the buffer and are centred, scaled by the root and, if
    there are, by gamma, and beta is added. The buffer is a queue: the next row enters meanwhile.

    Latency, throughput, parameters and members: `RowUnit`.
    """

    spec: NormSpec
    spares = 1

    def passes(self) -> dict[str, RowPass]:
        """Return the one pass."""
        return {"normalised": _Normalised(self.spec)}
