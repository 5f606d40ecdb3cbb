"""The logic networks that a search starts from: what is found depends on their structure.

Each makes the results ``word`` at every input pattern, in a structure of its own: decision diagrams
of the result's bits with the inputs in either order; nodes of as many inputs as fit, and
multiplexers behind them; of an odd or complementary function, the magnitude of the argument, a
diagram of half the size, and the negation of what it holds; and the difference to a cheap base, and
an adder.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from .delta import DeltaTable, addressed
from .logic import Target
from .netlist import Network

__all__ = ["starts"]

#: Truth tables by the inputs, the first the lowest bit.
_OR, _XOR = [0, 1, 1, 1], [0, 1, 1, 0]
#: ``(a and b) xor c``; the sum of three, and its carry.
_CHANGE, _ODD, _MOST = [0, 0, 0, 1, 1, 1, 1, 0], [0, 1, 1, 0, 1, 0, 0, 1], [0, 0, 0, 1, 0, 1, 1, 1]


def starts(
    low: np.ndarray, high: np.ndarray, bits: int, signed: bool, target: Target, word: np.ndarray,
    delta: DeltaTable | None = None,
) -> Iterator[Network]:  # fmt: skip
    """Yield networks of the results `word`, by the input pattern.

    `delta` is a table of the same function; for the other parameters see `Network`.
    """

    def network() -> Network:
        return Network(low, high, bits, signed, target)

    down = range(network().inputs)[::-1]
    widths = (1, target.lut, target.inputs) if target.lut == 6 else (1,)
    for width in sorted({min(width, len(down)) for width in widths}):
        made = network()
        _diagrams(made, word, down, width)
        yield made
    if target.lut != 6:
        made = network()
        _diagrams(made, word, down[::-1])
        yield made
    made = network()
    if _folded(made, word):
        yield made
    if delta is not None and (delta.base[0] or delta.levels != (0, 0)):
        made = network()
        _delta(made, delta)
        yield made


def _diagrams(network: Network, word: np.ndarray, order: Sequence[int], width: int = 1) -> None:
    """Every bit of the results as a diagram."""
    diagram = _Diagram(network, order, width)
    for position in range(network.bits):
        network.add_output(diagram.of(word >> position & 1))


class _Diagram:
    """Shannon's expansion, with equal parts shared (Bryant, 1986).

    Parameters
    ----------
    network : Network
        Where the nodes go.
    signals : sequence of int
        What is expanded by, in this order; the last `width` signals become one node.
    """

    def __init__(self, network: Network, signals: Sequence[int], width: int = 1) -> None:
        self.network, self.signals, self.width = network, signals, width
        self.nodes: dict[bytes, int] = {}

    def of(self, values: np.ndarray) -> int:
        """Return the signal that is ``values[number]``.

        ``number`` has a bit for every signal: where the signals are the inputs, at its place there;
        else the first signal is the highest bit.
        """
        if set(self.signals) == set(range(self.network.inputs)):
            number = np.zeros(len(values), np.int64)
            for position, signal in enumerate(reversed(self.signals)):
                number |= ((np.arange(len(values)) >> position) & 1) << signal
            values = values[number]
        return self._make(np.asarray(values, np.uint8), 0)

    def _make(self, values: np.ndarray, level: int) -> int:
        if not values.any():
            return self.network.zero
        if values.all():
            return self.network.one
        key = values.tobytes()
        if key not in self.nodes:
            self.nodes[key] = self._expand(values, level)
        return self.nodes[key]

    def _expand(self, values: np.ndarray, level: int) -> int:
        network, left = self.network, self.signals[level:]
        if len(left) <= self.width:
            number = np.arange(len(values))
            needed = [at for at in range(len(left)) if (values != values[number ^ (1 << at)]).any()]
            fanins = [left[len(left) - 1 - at] for at in needed]
            rows = np.arange(1 << len(needed))
            truth = values[sum(((rows >> at) & 1) << bit for at, bit in enumerate(needed))]
            if len(needed) == 1 and truth[1]:
                return fanins[0]
            return network.add(fanins, truth)
        zero, one = np.split(values, 2)
        if (zero == one).all():
            return self._make(zero, level + 1)
        signal = left[0]
        at_zero, at_one = self._make(zero, level + 1), self._make(one, level + 1)
        constants = (network.zero, network.one)
        if (at_zero, at_one) == constants:
            return signal
        others = [at for at in dict.fromkeys((at_zero, at_one)) if at not in (*constants, signal)]
        fanins = [signal, *others]
        rows = np.arange(1 << len(fanins))
        columns = {one: (rows >> at) & 1 for at, one in enumerate(fanins)}
        columns |= {network.zero: 0 * rows, network.one: 0 * rows + 1}
        return network.add(fanins, np.where(columns[signal], columns[at_one], columns[at_zero]))


def _negated(network: Network, signals: Sequence[int], sign: int) -> list[int]:
    """Return the signals of the number, if `sign` is 1 of its negative."""
    found, below = [signals[0]], signals[0]
    for signal in signals[1:]:
        found.append(network.add([sign, below, signal], _CHANGE))
        if signal != signals[-1]:
            below = network.add([below, signal], _OR)
    return found


def _folded(network: Network, word: np.ndarray) -> bool:
    """Whether ``f(-x) = -f(x)`` in the width of the result; if so, the network is made.

    It may be a fixed value instead wherever x is not negative: that is where the result saturates.
    """
    half = network.patterns // 2
    mask = (1 << network.bits) - 1
    positive = word[:half] & mask
    core = np.append(0, -word[half:][::-1] & mask)  # from 0 to half
    core[0] = positive[0]
    other = core[:half] != positive
    if half < 4 or len(set(positive[other].tolist())) > 1 or (core[0] != -core[0] & mask):
        return False
    inputs = list(range(network.inputs))
    sign = inputs[-1]
    magnitude = _negated(network, inputs, sign)
    values = np.append(core, [core[half]] * (half - 1))
    diagram = _Diagram(network, magnitude[::-1])
    bits = [diagram.of((values >> at) & 1) for at in range(network.bits)]
    bits = _negated(network, bits, sign)
    if other.any():
        fixed = int(positive[other][0])
        saturated = diagram.of(np.append(other, [False] * half))
        chosen = network.add([sign, saturated], [0, 0, 1, 0])
        bits = [
            network.add([chosen, bit], _OR if fixed >> at & 1 else [0, 0, 1, 0])
            for at, bit in enumerate(bits)
        ]
    for bit in bits:
        network.add_output(bit)
    return network.right


def _node(network: Network, fanins: Sequence[int], truth: Sequence[int]) -> int:
    """Return a signal of that truth table; no node reads a constant or the same signal twice."""
    table = np.array(truth, np.uint8)
    constants = (network.zero, network.one)
    left = [one for one in dict.fromkeys(fanins) if one not in constants]
    rows = np.arange(1 << len(left))
    columns = {one: (rows >> at) & 1 for at, one in enumerate(left)}
    columns |= {network.zero: 0 * rows, network.one: 0 * rows + 1}
    table = table[sum(columns[one] << at for at, one in enumerate(fanins))]
    if (table == table[0]).all():
        return constants[table[0]]
    for one in left:
        if (table == columns[one]).all():
            return one
    return network.add(left, table)


def _sum(network: Network, left: Sequence[int], right: Sequence[int]) -> list[int]:
    """Return the sum of two numbers of the same width, in that width."""
    found, carry = [], network.zero
    for one, other in zip(left, right, strict=True):
        found.append(_node(network, [one, other, carry], _ODD))
        carry = _node(network, [one, other, carry], _MOST)
    return found


def _delta(network: Network, table: DeltaTable) -> None:
    """Make a network of the base, the levels, and a diagram of the residuals, added."""
    inputs, bits = list(range(network.inputs)), network.bits
    signed, (window, mirrored) = table.input.signed, table.window
    sign = inputs[-1] if signed else network.zero
    index = inputs[:window]
    if mirrored:
        index = [sign, *(_node(network, [one, sign], _XOR) for one in index)]
    elif signed:
        index = [*index, sign]
    outside = network.zero
    for one in inputs[window : len(inputs) - signed]:
        outside = _node(network, [one, sign, outside], [0, 1, 1, 0, 1, 1, 1, 1])
    values = addressed(table.residuals, signed, mirrored)
    diagram = _Diagram(network, index[::-1])
    total = [
        _node(network, [diagram.of(values >> at & 1), outside], [0, 1, 0, 0])
        for at in range(bits)
    ]  # fmt: skip
    choice = {(0, 0): network.zero, (1, 1): network.one, (1, 0): sign}
    levels = []
    for at in range(bits):
        pair = (table.levels[0] >> at & 1, table.levels[1] >> at & 1)
        levels.append(choice[pair] if pair in choice else _node(network, [sign], [1, 0]))
    total = _sum(network, total, levels)
    if table.sort != "zero":
        base = inputs if table.sort == "argument" else [
            _node(network, [one, sign], [0, 1, 0, 0]) for one in inputs
        ]  # fmt: skip
        high = base[-1] if signed else network.zero
        moved = [network.zero] * max(table.base[1], 0) + base[max(-table.base[1], 0) :]
        total = _sum(network, total, (moved + [high] * bits)[:bits])
    for signal in total:
        network.add_output(signal)
