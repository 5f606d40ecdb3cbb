"""What the units whose results depend on a whole row have in common."""

from abc import abstractmethod

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable

from .lanes import check_lanes
from .spec import Spec, UnarySpec

__all__ = ["NormRowSpec", "RowSpec", "SoftmaxRowSpec"]


class RowSpec(Spec):
    """A unit that sees the whole row before it gives the row's first result.

    Subclasses are frozen dataclasses with the fields ``input``, ``output``, ``length`` and, at the
    end, ``lanes`` and (softmaxes) ``mask``.

    Attributes
    ----------
    length : int
        Elements of the longest row; a multiple of `lanes`. A longer row is cut there.
    lanes : int
        Elements a beat.
    mask : bool
        Whether each element has a bit (``tuser``) that leaves it out of its row.
    """

    length: int

    def check_length(self) -> None:
        """Raise UsageError unless `length` and `lanes` go together; for ``__post_init__``."""
        check_lanes(self)
        if self.length < 1:
            raise UsageError(f"spec: {self.kind}.length must be at least 1, not {self.length}")
        if self.length % self.lanes:
            raise UsageError(
                f"spec: {self.kind}.length must be a multiple of the {self.lanes} lanes, "
                f"not {self.length}"
            )

    @property
    def longest(self) -> int:
        """Elements of the longest row."""
        return self.length

    @property
    def user_bits(self) -> int:
        """A mask bit a lane, if there are masks."""
        return self.lanes if self.mask else 0

    def check_rows(self, codes: np.ndarray) -> np.ndarray:
        """Return rows of `codes`, shape (..., n), as int64.

        Raises
        ------
        UsageError
            If they are not codes of the input's format, or n is not 1 to `length`.
        """
        codes = self.input.check(codes)
        size = codes.shape[-1] if codes.ndim else 0
        if not 1 <= size <= self.length:
            raise UsageError(f"a row must have 1 to {self.length} elements, not {size}")
        return codes

    def check_mask(self, codes: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """Return `mask`, or none set, as bool with the shape of `codes`.

        Raises
        ------
        UsageError
            If it has another shape, or other values.
        """
        if mask is None:
            return np.zeros(codes.shape, dtype=bool)
        mask = np.asarray(mask)
        if mask.shape != codes.shape or not np.isin(mask, (0, 1)).all():
            raise UsageError(
                f"a mask must have a 0 or a 1 for each element, shape {codes.shape}, "
                f"not shape {mask.shape}"
            )
        return mask.astype(bool)

    @abstractmethod
    def compute(self, codes: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Return the results (int64) of rows of codes, shape (..., n).

        Parameters
        ----------
        codes : int array, shape (..., n)
            Rows of n elements.
        mask : bool array, same shape, optional
            True for elements that leave their row alone and give 0: masked ones, and lanes without
            an element, which every unit with several lanes can meet.

        Raises
        ------
        UsageError
            If `codes` or `mask` are not what they must be.
        """


class SoftmaxRowSpec(RowSpec):
    """A softmax: results are probabilities, and elements are logits."""

    @property
    def one(self) -> float:
        """Output code that means 1.0, were it within the format."""
        return 2.0**self.output.frac

    def check_exp(self, exp: UnarySpec) -> None:
        """Raise UsageError unless `exp` takes the logits' distances; for ``__post_init__``."""
        distance = Format(False, self.input.bits, self.input.frac)
        if not self.input.signed or exp.input != distance:
            raise UsageError(
                f"spec: {self.kind}.exp must take {distance} for logits {self.input}, "
                f"not {exp.input}"
            )

    def distances(self, codes: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return how far logits are below the maximum of their row.

        Parameters
        ----------
        codes : int64 array, shape (..., n)
            Rows of logits, signed.
        mask : bool array, same shape
            True for logits that leave the maximum alone. They may be above it: their distance is 0
            then.

        Returns
        -------
        int64 array, same shape
            ``max - code``, at least 0; in a row without any other than masked logits, 0.
        """
        present = np.where(mask, self.input.min, codes)
        return np.maximum(present.max(axis=-1, keepdims=True) - codes, 0)


class NormRowSpec(RowSpec):
    """A LayerNorm or an RMSNorm: what its accuracy is held against, as fields or as constants.

    Attributes
    ----------
    centred : bool
        True for LayerNorm, False for RMSNorm.
    eps : int
        Epsilon in squares of an input's ulp, as an integer with `eps_frac` fraction bits.
    eps_frac : int
        Fraction bits of `eps`, at least 0.
    gamma, beta : DirectTable or None
        Gain and offset by the position in the row; None is 1 and 0.
    """

    centred: bool
    eps: int
    eps_frac: int
    gamma: DirectTable | None
    beta: DirectTable | None
