"""Several lanes that share fewer units: a beat takes several clocks."""

from dataclasses import dataclass

from nnlut_train.errors import UsageError

from .lanes import check_lanes
from .spec import UnarySpec
from .wrapper import WrapperSpec

__all__ = ["SerialSpec"]


@dataclass(frozen=True)
class SerialSpec(WrapperSpec):
    """A unary function of several elements a beat, with fewer copies of its unit than lanes.

    The lanes of a beat take turns, a group of ``lanes / interval`` a clock; so multipliers and
    tables are shared, at that many times the clocks.

    Parameters
    ----------
    unit : UnarySpec
        The function; each element's result is that of one lane alone. Of a shared unit, one
        function serves all lanes of a beat.
    lanes : int
        Elements a beat.
    interval : int
        Initiation interval: clocks a beat, at least 2, a divisor of `lanes`.
    """

    kind = "serial"

    unit: UnarySpec
    lanes: int
    interval: int

    def __post_init__(self) -> None:
        check_lanes(self)
        if self.interval < 2 or self.lanes % self.interval:
            raise UsageError(
                f"spec: serial.interval must be a divisor of the {self.lanes} lanes and at least "
                f"2, not {self.interval}"
            )

    @property
    def group(self) -> int:
        """Copies of the unit: elements that are in work in one clock."""
        return self.lanes // self.interval
