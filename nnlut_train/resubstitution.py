"""Minimisation of a logic network by resubstitution: its nodes are rewritten over other signals.

The search is a walk at random (with a seed, so always the same) through networks that all give
allowed results and never cost more: a node is drawn, `Network.care` tells what it must be, and one
of these is tried: another signal in its place; the same node without one of its inputs, where that
takes further nodes away, and with other inputs instead; other inputs at the same cost, which is
what moves the walk on; and new inputs altogether. Which inputs suffice is the question whether
every pair of patterns, one that must be 1 and one that must be 0, is told apart by them.
"""

import random
from collections.abc import Callable

import numpy as np

from .delta import DeltaTable
from .logic import Target
from .netlist import Network
from .starts import starts

__all__ = ["minimise"]

#: Of the steps, the part that each start gets before the best of them goes on alone.
TRIAL = 0.125
#: Shares of the moves: fewer nodes, one other input, two other inputs; the rest are new inputs.
FEWER, ONE, TWO = 0.5, 0.85, 0.93


def minimise(
    low: np.ndarray, high: np.ndarray, bits: int, signed: bool, target: Target, *, seed: int,
    steps: int, preferred: np.ndarray, delta: DeltaTable | None = None,
    report: Callable[[int, float], None] | None = None,
) -> Network:  # fmt: skip
    """Return a small network with a result within `low` to `high` at every input pattern.

    Parameters
    ----------
    low, high : int64 arrays, shape (2**n,)
        The results that are allowed, by the input pattern.
    bits, signed : int, bool
        Format of the result.
    target : Target
        What is minimised.
    seed, steps : int
        Of the walk, and its length. The same arguments give the same network.
    preferred : int64 array, shape (2**n,)
        Allowed results to start from. Where others are allowed, too, as many steps more go before
        into a network of these, so that the freedom never costs anything.
    delta : DeltaTable, optional
        The results `preferred` as the difference to a base: one more structure to start from.
    report : callable, optional
        Called with the steps done so far and the cost.
    """
    networks = list(starts(low, high, bits, signed, target, preferred, delta))
    done = 0
    if (low != high).any():
        exact = minimise(
            preferred, preferred, bits, signed, target, seed=seed, steps=steps,
            preferred=preferred, delta=delta, report=report,
        )  # fmt: skip
        exact.low, exact.high = low, high
        networks.append(exact)
        done = steps
    walks = [_Walk(network, seed) for network in networks]
    last = done + steps

    def go(walk: _Walk, count: int) -> None:
        nonlocal done
        for _ in range(count):
            walk.step()
            done += 1
            if report is not None:
                report(done, walk.network.cost)

    for walk in walks:
        go(walk, int(steps * TRIAL))
    best = min(walks, key=lambda walk: walk.network.cost)
    go(best, last - done)
    assert best.network.right, "the network's results must be allowed"
    return best.network


class _Walk:
    """A walk through networks that do not become dearer."""

    def __init__(self, network: Network, seed: int) -> None:
        self.network = network
        self.random = random.Random(seed)

    def step(self) -> None:
        """Try to rewrite one node."""
        network, chance = self.network, self.random
        if not network.order:
            return
        node = chance.choice(network.order)
        on, off = network.care(node)
        later = network.following(node)
        inputs = list(range(network.inputs))
        others = inputs + [one for one in network.order if one not in later]
        if self._merge(node, [*others, network.zero, network.one], on, off):
            return
        fanins = list(network.fanins[node])
        kind, room = chance.random(), network.target.inputs
        if kind < FEWER and self._fewer(node, fanins, others, on, off):
            return
        if kind < ONE:
            drop = [chance.choice(fanins)]
            room = min(room, len(fanins) + (chance.random() < 0.3))
        elif kind < TWO:
            drop = chance.sample(fanins, min(2, len(fanins)))
        else:
            drop = fanins
            others = [one for one in others if chance.random() < 0.7]
        base = [one for one in fanins if one not in drop]
        found = self._complete(base, self._without(others, drop, base), on, off, room, 4)
        if found is not None:
            network.rewrite(node, self._needed(found, on, off), on, off)

    @staticmethod
    def _without(signals: list[int], *taken: list[int]) -> list[int]:
        left = set().union(*taken)
        return [one for one in signals if one not in left]

    def _merge(self, node: int, signals: list[int], on: np.ndarray, off: np.ndarray) -> bool:
        """Put another signal, or its complement, in the node's place."""
        network = self.network
        value = network.value[signals].astype(bool)
        for inverted in (False, True) if node not in network.outputs else (False,):
            wrong = ((value == inverted) & on).any(1) | ((value != inverted) & off).any(1)
            equal = np.flatnonzero(~wrong).tolist()
            if equal:
                network.replace(node, signals[self.random.choice(equal)], inverted)
                return True
        return False

    def _fewer(
        self, node: int, fanins: list[int], others: list[int], on: np.ndarray, off: np.ndarray
    ) -> bool:
        """Do without an input that nothing else reads."""
        alone = [one for one in fanins if self.network.readers.get(one) == 1]
        if not alone:
            return False
        drop = self.random.choice(alone)
        base = [one for one in fanins if one != drop]
        left = self._without(others, [drop], base)
        found = self._complete(base, left, on, off, self.network.target.inputs, 6)
        return found is not None and self.network.rewrite(node, found, on, off)

    def _needed(self, signals: list[int], on: np.ndarray, off: np.ndarray) -> list[int]:
        """Leave out inputs without which the others suffice."""
        at = 0
        while at < len(signals):
            fewer = signals[:at] + signals[at + 1 :]
            if self._pairs(fewer, [], on, off)[0] == 0:
                signals = fewer
            else:
                at += 1
        return signals

    def _pairs(
        self, base: list[int], more: list[int], on: np.ndarray, off: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Count the pairs that `base` does not tell apart: alone, and with each of `more`."""
        index = self.network.indices(base)
        size = 1 << len(base)
        ones, zeros = (
            np.bincount(index[on], minlength=size),
            np.bincount(index[off], minlength=size),
        )
        total = float(ones @ zeros)
        if not total or not more:
            return total, np.zeros(len(more))
        mixed = (ones > 0) & (zeros > 0)
        column = np.cumsum(mixed) - 1
        at = np.flatnonzero((on | off) & mixed[index])
        # Counts of both kinds in each class: exact in float32, which multiplies matrices fast.
        part = np.zeros((2, len(at), int(mixed.sum())), np.float32)
        part[np.where(on[at], 1, 0), np.arange(len(at)), column[index[at]]] = 1.0
        value = self.network.value[more][:, at].astype(np.float32)
        zeros_high, ones_high = value @ part[0], value @ part[1]
        zeros_all, ones_all = part[0].sum(0), part[1].sum(0)
        left = zeros_high * ones_high + (zeros_all - zeros_high) * (ones_all - ones_high)
        return total, left.sum(1)

    def _complete(
        self, base: list[int], others: list[int], on: np.ndarray, off: np.ndarray, room: int,
        width: int,
    ) -> list[int] | None:  # fmt: skip
        """Add signals of `others` to `base` until all pairs are told apart, or give up.

        At most `room` signals in all; of the next signal, the `width` best are tried.
        """
        total, left = self._pairs(base, others, on, off)
        if not total:
            return base
        if len(base) >= room or not others:
            return None
        enough = np.flatnonzero(left == 0).tolist()
        if enough:
            return [*base, others[self.random.choice(enough)]]
        if len(base) + 1 >= room:
            return None
        noise = np.array([self.random.random() for _ in others])
        for at in np.argsort(left + 0.1 * left.min() * noise, kind="stable")[:width].tolist():
            rest = others[:at] + others[at + 1 :]
            found = self._complete([*base, others[at]], rest, on, off, room, max(1, width // 3))
            if found is not None:
                return found
        return None
