"""Linear-LUT: equally spaced breakpoints, and lines that meet the function at both ends.

The baseline of J. Yu et al., "NN-LUT: Neural Approximation of Non-Linear Operations for Efficient
Transformer Inference", DAC 2022, arXiv 2112.02191. The range is the problem's domain. Breakpoints
and coefficients are rounded half up to their formats afterwards. Objective and weights are
ignored; only which codes count is not, as it decides the domain.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from . import lines

if TYPE_CHECKING:
    from . import Problem

__all__ = ["solve"]


def solve(
    problem: "Problem", seed: int, progress: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Fit `problem` with segments of equal length; see `nnlut_train.fit.fit`.

    `seed` and `progress` are not used.

    Returns
    -------
    breakpoints, slopes, intercepts : int64 arrays
        As in `PwlTable`. Segments without a code are dropped.
    notes : dict
        ``saturated``: how many coefficients of the table their formats could not hold.

    Raises
    ------
    UsageError
        If the function is not finite where a segment ends.
    """
    edges = np.linspace(*problem.domain, problem.entries + 1)
    return lines.rounded(problem, edges, *lines.chords(edges, lines.core(problem, edges)))
