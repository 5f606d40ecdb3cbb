"""All arguments of a function at once: what a graph gives for each, against a table."""

from collections.abc import Sequence

import numpy as np

from nnlut_train.errors import StepError
from sim.golden import SharedSpec, Spec

from .graph import Graph

__all__ = ["compare", "golden", "reference"]

#: Arguments that are evaluated at once, a bit each; at least 64, which fill a word.
CHUNK = 1 << 14


def _packed(bits: np.ndarray) -> np.ndarray:
    """Return 64 bits a word, the first one lowest."""
    return np.packbits(bits.astype(np.uint8), bitorder="little").view(np.uint64)


def compare(
    graph: Graph, argument: Sequence[int], result: Sequence[int], wanted: np.ndarray, bits: int,
    text: str,
) -> None:  # fmt: skip
    """Evaluate `result` for all values of `argument`; other variables have random values.

    Parameters
    ----------
    graph : Graph
        The graph.
    argument, result : sequence of int
        Literals, lowest bit first.
    wanted : int array
        Results by the argument, which counts in its last axis first.
    bits : int
        How many bits of `argument` are the code; the others are the function's number.
    text : str
        What an error message begins with.

    Raises
    ------
    StepError
        A result is not that of the table: the message has the first such argument.
    """
    table = wanted.reshape(-1) % (1 << len(result))
    random = np.random.default_rng(0)
    others = sorted(set(graph.support(result)) - set(argument))
    for start in range(0, len(table), CHUNK):
        codes = np.arange(start, start + max(64, min(CHUNK, len(table)))) % len(table)
        values = {literal: _packed(codes >> bit & 1) for bit, literal in enumerate(argument)}
        for literal in others:
            values[literal] = random.integers(0, 1 << 64, len(codes) // 64, np.uint64)
        got = np.zeros(len(codes), np.int64)
        for bit, packed in enumerate(graph.values(result, values)):
            got |= np.unpackbits(packed.view(np.uint8), bitorder="little").astype(np.int64) << bit
        wrong = np.flatnonzero(got != table[codes])
        if len(wrong):
            code = int(codes[wrong[0]])
            function = f" of function {code >> bits}" if len(argument) > bits else ""
            raise StepError(
                f"{text}: counterexample: argument {code % (1 << bits):#x}{function} gives "
                f"{got[wrong[0]]:#x}, not {table[code]:#x} ({len(wrong)} of {len(codes)} differ)"
            )


def reference(graph: Graph, argument: Sequence[int], wanted: np.ndarray, width: int) -> list[int]:
    """Return a table as a graph: each bit by Shannon's expansion, the highest argument bit first.

    Equal parts of the table are one, as in a binary decision diagram; nothing else is shared with
    how a unit is made.
    """
    table = wanted.reshape(-1) % (1 << width)
    known: dict[bytes, int] = {}

    def expand(part: np.ndarray, bit: int) -> int:
        key = part.tobytes()
        if key not in known:
            if bit < 0:
                known[key] = int(part[0])
            else:
                low, high = expand(part[: len(part) // 2], bit - 1), \
                    expand(part[len(part) // 2 :], bit - 1)  # fmt: skip
                choice = argument[bit]
                known[key] = low if low == high else graph.any(
                    (graph.all((choice, high)), graph.all((choice ^ 1, low)))
                )  # fmt: skip
        return known[key]

    return [expand((table >> bit & 1).astype(np.uint8), len(argument) - 1)
            for bit in range(width)]  # fmt: skip


def golden(spec: Spec) -> np.ndarray:
    """Return the output codes of all arguments, those of function 0 first.

    Returns
    -------
    int64 array, shape (functions, 1 << input bits)
        By the function's number, where there are several, and by the bits of the argument.
    """
    form = spec.input
    words = np.arange(1 << form.bits)
    codes = np.where(words > form.max, words - (1 << form.bits), words)
    if not isinstance(spec.bare, SharedSpec):
        return np.asarray(spec.compute(codes))[None]
    return np.stack([spec.compute(codes, user) for user in range(1 << spec.user_bits)])
