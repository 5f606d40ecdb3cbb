"""What a table is to hold: the one thing that an architecture makes a unit of."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nnlut_train.folding import Fold
from nnlut_train.formats import Format
from sim.golden import UnarySpec

__all__ = ["Fitting", "Maker", "Wanted"]


@dataclass(frozen=True)
class Wanted:
    """A function of one argument, sampled at every code, and the formats that it is wanted in.

    Parameters
    ----------
    name : str
        What the table says that it holds.
    target : float64 array, shape (2**inputs.bits,)
        Exact results at every code of ``inputs.grid()``, ascending.
    inputs, output : Format
        Of the argument and of the result.
    entries : int
        Segments of a table of lines.
    objective : str
        What a fit minimises: one of `nnlut_train.fit.problem.OBJECTIVES`.
    reference : callable
        From real arguments, a float64 array, to exact results, for methods that need values
        between the codes.
    weights : float64 array, shape of `target`, optional
        Weights of the codes; those of weight 0 do not occur.
    nn_signs : tuple of int
        See `nnlut_train.functions.Function`.
    fold : Fold, optional
        The symmetry that halves the table.
    """

    name: str
    target: np.ndarray
    inputs: Format
    output: Format
    entries: int
    objective: str
    reference: Callable[[np.ndarray], np.ndarray]
    weights: np.ndarray | None = None
    nn_signs: tuple[int, int] = (0, 0)
    fold: Fold | None = None


@dataclass(frozen=True)
class Fitting:
    """How tables are learned.

    Parameters
    ----------
    method : str
        One of `nnlut_train.fit.METHODS`, for lines.
    seed : int
        Of everything random.
    progress : bool
        Show the progress of long fits on a terminal.
    max_error : float
        Largest error that is allowed, in ulp of the output.
    freedom : float
        The same for a table that could be correctly rounded, but is smaller if it need not be.
    logic : str
        What logic is minimised for: one of `nnlut_train.logic.TARGETS`.
    """

    method: str
    seed: int
    progress: bool
    max_error: float
    freedom: float = 0.5
    logic: str = "gates"


#: An architecture: from what a table is to hold to the unit that holds it.
Maker = Callable[[Wanted, Fitting], UnarySpec]
