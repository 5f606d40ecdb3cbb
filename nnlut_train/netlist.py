"""Logic networks that are simulated at every input, and what a node of one is free to be.

A network of n inputs is small enough for all ``2**n`` input patterns to be held for every signal.
So what each node must be is known exactly: `Network.care` flips it, and looks where the result is
then no longer allowed. Allowed is a range of codes at each pattern, so that the freedom of a
Boolean relation (either neighbour of the exact value, whichever is the cheaper logic) is part of
what is found, and not only that of don't-cares. After Mishchenko, Brayton, Jiang, Jang: "Scalable
don't-care-based logic optimization and resynthesis", ACM TRETS 4 (2011), which estimates the
don't-cares by SAT in a window.
"""

from collections.abc import Sequence

import numpy as np

from .logic import Target

__all__ = ["Network"]


class Network:
    """A network of nodes with at most `target.inputs` inputs each; it changes in place.

    Signals are numbers: 0 to n - 1 the inputs, n and n + 1 the constants 0 and 1, then the nodes.

    Parameters
    ----------
    low, high : int64 arrays, shape (2**n,)
        Smallest and largest result that is allowed, at every input pattern.
    bits, signed : int, bool
        Width of the result, and whether its last bit is its sign.
    target : Target
        What nodes cost.
    """

    def __init__(
        self, low: np.ndarray, high: np.ndarray, bits: int, signed: bool, target: Target
    ) -> None:
        self.target = target
        self.low, self.high, self.signed, self.bits = low, high, signed, bits
        self.patterns = len(low)
        self.inputs = self.patterns.bit_length() - 1
        codes = np.arange(self.patterns)
        rows = [(codes >> bit) & 1 for bit in range(self.inputs)]
        rows += [np.zeros(self.patterns), np.ones(self.patterns)]
        #: Value of every signal at every pattern.
        self.value = np.array(rows, dtype=np.uint8)
        #: Signals that each node reads, its truth table, and where in that each pattern looks.
        self.fanins: dict[int, tuple[int, ...]] = {}
        self.truth: dict[int, np.ndarray] = {}
        self._index: dict[int, np.ndarray] = {}
        #: How often each node is read; and the signals of the result's bits.
        self.readers: dict[int, int] = {}
        self.outputs: list[int] = []
        #: The nodes, each after those that it reads.
        self.order: list[int] = []
        self._free: list[int] = []

    @property
    def zero(self) -> int:
        """The constant 0."""
        return self.inputs

    @property
    def one(self) -> int:
        """The constant 1."""
        return self.inputs + 1

    @property
    def cost(self) -> float:
        """Cost of all nodes."""
        return sum(map(self.target.cost, self.truth.values()))

    def add(self, fanins: Sequence[int], truth: np.ndarray) -> int:
        """Return a new node; only ones that are there already can be its `fanins`."""
        if not self._free:
            start, size = len(self.value), max(64, len(self.value))
            self.value = np.vstack([self.value, np.zeros((size, self.patterns), np.uint8)])
            self._free = list(range(start, start + size))[::-1]
        node = self._free.pop()
        self.fanins[node], self.truth[node] = tuple(fanins), np.asarray(truth, np.uint8)
        self.readers[node] = 0
        self._read(fanins, 1)
        self._evaluate(node)
        self.order.append(node)
        return node

    def add_output(self, signal: int) -> None:
        """Make a signal the next bit of the result, from the lowest on."""
        self.outputs.append(signal)
        self._read([signal], 1)

    def _read(self, signals: Sequence[int], count: int) -> None:
        for signal in signals:
            if signal in self.readers:
                self.readers[signal] += count

    def indices(self, signals: Sequence[int]) -> np.ndarray:
        """Return the number that `signals` have at each pattern, the first the lowest bit."""
        index = np.zeros(self.patterns, np.int64)
        for position, signal in enumerate(signals):
            index |= self.value[signal].astype(np.int64) << position
        return index

    def _evaluate(self, node: int) -> None:
        self._index[node] = self.indices(self.fanins[node])
        self.value[node] = self.truth[node][self._index[node]]

    def _sort(self) -> None:
        order: list[int] = []
        seen: set[int] = set()
        for root in self.fanins:
            stack = [(root, iter(self.fanins[root]))] if root not in seen else []
            while stack:
                node, left = stack[-1]
                for signal in left:
                    if signal in self.fanins and signal not in seen:
                        stack.append((signal, iter(self.fanins[signal])))
                        break
                else:
                    stack.pop()
                    if node not in seen:
                        seen.add(node)
                        order.append(node)
        self.order = order

    def _renew(self, changed: set[int]) -> None:
        """Sort the nodes, and evaluate those of `changed` and what follows from them."""
        self._sort()
        dirty: set[int] = set()
        for node in self.order:
            if node in changed or not dirty.isdisjoint(self.fanins[node]):
                before = self.value[node].copy()
                self._evaluate(node)
                if (before != self.value[node]).any():
                    dirty.add(node)

    def following(self, node: int) -> set[int]:
        """Return `node` and all nodes that depend on it."""
        found = {node}
        for other in self.order:
            if not found.isdisjoint(self.fanins[other]):
                found.add(other)
        return found

    def allowed(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Return where the result is one that is allowed, from its bits; bool, (2**n,)."""
        word = np.zeros(self.patterns, np.int64)
        for position, row in enumerate(rows):
            word += row.astype(np.int64) << position
        if self.signed:
            word -= rows[-1].astype(np.int64) << len(rows)
        return (word >= self.low) & (word <= self.high)

    @property
    def right(self) -> bool:
        """Whether all results are allowed."""
        return bool(self.allowed([self.value[signal] for signal in self.outputs]).all())

    def care(self, node: int) -> tuple[np.ndarray, np.ndarray]:
        """Return where `node` must be 1, and where it must be 0; bool, shape (2**n,) each.

        Elsewhere it may have any value, at all patterns at once: a result depends only on the
        values at its own pattern.
        """
        flips = {node: np.ones(self.patterns, np.uint8)}
        for other in self.order[self.order.index(node) + 1 :]:
            moved = None
            for position, signal in enumerate(self.fanins[other]):
                if signal in flips:
                    part = flips[signal].astype(np.int64) << position
                    moved = part if moved is None else moved ^ part
            if moved is not None:
                flip = self.truth[other][self._index[other] ^ moved] ^ self.value[other]
                if flip.any():
                    flips[other] = flip
        rows = [
            self.value[signal] ^ flips[signal] if signal in flips else self.value[signal]
            for signal in self.outputs
        ]
        must, value = ~self.allowed(rows), self.value[node].astype(bool)
        return must & value, must & ~value

    def _release(self, node: int, gone: list[int]) -> None:
        gone.append(node)
        for signal in self.fanins[node]:
            if signal in self.readers:
                self.readers[signal] -= 1
                if not self.readers[signal]:
                    self._release(signal, gone)

    def _forget(self, nodes: Sequence[int]) -> None:
        for node in nodes:
            for part in (self.fanins, self.truth, self._index, self.readers):
                del part[node]
            self._free.append(node)

    def rewrite(self, node: int, fanins: Sequence[int], on: np.ndarray, off: np.ndarray) -> bool:
        """Let `node` be another function of other signals, unless the network then costs more.

        Parameters
        ----------
        node : int
            The node.
        fanins : sequence of int
            What it is to read; no two of the patterns `on` and `off` have them alike, and none
            depends on the node.
        on, off : bool arrays, shape (2**n,)
            What `care` returned.

        Returns
        -------
        bool
            Whether it was done.
        """
        index, size = self.indices(fanins), 1 << len(fanins)
        value = self.value[node]
        ones, zeros = (
            np.bincount(index[on], minlength=size),
            np.bincount(index[off], minlength=size),
        )
        most = 2 * np.bincount(index, value, minlength=size) > np.bincount(index, minlength=size)
        truth = self.target.fill(ones > 0, zeros > 0, most)
        before = self.fanins[node]
        self._read(fanins, 1)
        gone: list[int] = []
        for signal in before:
            if signal in self.readers:
                self.readers[signal] -= 1
                if not self.readers[signal]:
                    self._release(signal, gone)
        cost = self.target.cost
        saved = cost(self.truth[node]) + sum(cost(self.truth[other]) for other in gone)
        if cost(truth) > saved + 1e-9:
            for other in gone:
                self._read(self.fanins[other], 1)
            self._read(before, 1)
            self._read(fanins, -1)
            return False
        self._forget(gone)
        self.fanins[node], self.truth[node] = tuple(fanins), truth
        self._renew({node})
        return True

    def replace(self, node: int, signal: int, inverted: bool) -> None:
        """Let all that reads `node` read `signal` (if `inverted`, its complement) instead.

        Neither an output, if `inverted`, nor a signal that depends on the node is possible.
        """
        touched = [other for other in self.order if node in self.fanins[other]]
        for other in touched:
            old = self.fanins[other]
            new = [signal if one == node else one for one in old if one != signal]
            if signal in (self.zero, self.one):
                new = [one for one in new if one != signal]
            self._read(old, -1)
            self._read(new, 1)
            rows = np.arange(1 << len(new))
            values = {one: (rows >> position) & 1 for position, one in enumerate(new)}
            values |= {self.zero: 0 * rows, self.one: 0 * rows + 1}
            values[node] = values[signal] ^ inverted
            index = sum(values[one] << position for position, one in enumerate(old))
            self.fanins[other], self.truth[other] = tuple(new), self.truth[other][index]
        count = self.outputs.count(node)
        self.outputs = [signal if one == node else one for one in self.outputs]
        self._read([node], -count)
        self._read([signal], count)
        gone: list[int] = []
        self._release(node, gone)
        self._forget(gone)
        self._renew({other for other in touched if other in self.fanins})
