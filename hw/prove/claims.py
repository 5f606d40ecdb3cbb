"""Claims that literals are equal: most by structure, the rest by a solver."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from nnlut_train.errors import StepError

from . import abc, cones
from .graph import TRUE, Graph
from .results import UndecidedError

__all__ = ["Claims"]


class Claims:
    """Pairs of literals that must be equal, whatever the free variables are.

    Parameters
    ----------
    graph : Graph
        The graph of the literals.
    step : str
        What is proved; error messages begin with it.
    """

    def __init__(self, graph: Graph, step: str) -> None:
        self.graph, self.step = graph, step
        #: Pairs that were claimed.
        self.count = 0
        #: Clocks that the longest of the claims spans.
        self.depth = 0
        self._open: dict[int, str] = {}

    def equal(
        self, text: str, actual: Sequence[int], wanted: Sequence[int], *, where: int = TRUE
    ) -> None:
        """Claim that literals are equal wherever `where` is true; `text` says of what."""
        for one, other in zip(actual, wanted, strict=True):
            self.count += 1
            wrong = self.graph.all((where, self.graph.differ(one, other)))
            self._open.setdefault(wrong, text)

    def evaluate(self, timeout: int) -> int:
        """Prove claims about wide cones, such as those of multipliers, by trying out all values.

        Parameters
        ----------
        timeout : int
            Seconds after which no more of them are tried.

        Returns
        -------
        int
            How many are proved so.

        Raises
        ------
        StepError
            One is wrong: the message has a counterexample.
        """
        began, proved = time.monotonic(), 0
        self._open.pop(0, None)
        for group in cones.groups(self.graph, self._open):
            if time.monotonic() - began > timeout:
                break
            found = cones.satisfied(self.graph, group)
            if found is not None:
                raise StepError(f"{self.step}: refuted: {self._broken(found)}")
            proved += len(group.literals)
            for literal in group.literals:
                del self._open[literal]
        return proved

    def settle(self, timeout: int) -> int:
        """Prove all claims.

        Parameters
        ----------
        timeout : int
            Seconds after which the solver gives up.

        Returns
        -------
        int
            How many needed a solver: the structure does not show them.

        Raises
        ------
        UndecidedError
            The solver gave up.
        StepError
            One is wrong: the message has a counterexample.
        """
        self._open.pop(0, None)
        wide = {literal for literal in self._open if len(self.graph.cone([literal])) >= cones.GATES}
        # Wide ones may take too long: then the others are proved at least.
        for part in (self._open.keys() - wide, wide):
            try:
                wrong = self.graph.balanced(sorted(part))
                found = abc.satisfied(self.graph, wrong, step=self.step, timeout=timeout)
            except UndecidedError as error:
                raise UndecidedError(f"{error}: {len(part)} of {self.count} claims, such as that "
                                     f"{self._open[max(part)]}") from error  # fmt: skip
            if found is not None:
                raise StepError(f"{self.step}: refuted: {self._broken(found)}")
        return len(self._open)

    def _broken(self, found: Mapping[str, int]) -> str:
        """Say which claim is wrong, and where."""
        support = self.graph.support(self._open)
        ones = np.array([np.iinfo(np.uint64).max], np.uint64)
        values = {literal: ones * found.get(self.graph.name(literal), 0) for literal in support}
        held = self.graph.values(list(self._open), values or {2: ones})
        text, literal = next((text, literal) for (literal, text), value
                             in zip(self._open.items(), held, strict=True) if value[0])  # fmt: skip
        names = [self.graph.name(variable) for variable in self.graph.support([literal])]
        told = ", ".join(f"{name} = {found.get(name, 0)}" for name in names[:8])
        return f"{text}; counterexample: {told}{', ...' if len(names) > 8 else ''}"
