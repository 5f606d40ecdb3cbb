"""LUT-APP's refinement: least-squares lines instead of chords on breakpoints of a genetic search.

LUT-APP (GADE), DATE 2026, repository IDSL-SeoulTech/LUT-APP, builds on GQA-LUT, and replaces its
chords by the least-squares line of each segment. That is what is taken from it, in the form that
the hardware stores: the integer line of least (weighted) squared error over the problem's points,
not a real line rounded afterwards. Not taken are its own search (a hybrid of differential
evolution and a genetic algorithm, with penalties on gaps and signs), its number format with an
exponent for each value, and its range reductions: the breakpoints are those of `genetic`, which
were searched with chords.

The error is squared whatever the problem's objective is: that is the published method.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from . import genetic, lines

if TYPE_CHECKING:
    from . import Problem

__all__ = ["solve"]


def solve(
    problem: "Problem", seed: int, progress: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Fit `problem` on the breakpoints of `genetic`; see `nnlut_train.fit.fit`.

    Returns
    -------
    breakpoints, slopes, intercepts : int64 arrays
        As in `PwlTable`. Segments without a point are dropped.
    notes : dict
        Those of `genetic` on its search: ``generations``, ``recipe``, ``fitness`` (of the chords).

    Raises
    ------
    UsageError
        If the function is not finite somewhere.
    """
    breakpoints, *_, notes = genetic.solve(problem, seed, progress)
    del notes["saturated"]  # of the chords, which are replaced
    return *lines.lines_on(problem, breakpoints), notes
