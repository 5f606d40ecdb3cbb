"""Several lanes of a unary function."""

from dataclasses import dataclass

from nnlut_train.errors import UsageError

from .spec import Spec, UnarySpec
from .wrapper import WrapperSpec

__all__ = ["LANES", "LanesSpec", "check_lanes"]

#: Elements that a beat may carry.
LANES = (1, 2, 4, 8, 16)


def check_lanes(spec: Spec) -> None:
    """Raise UsageError unless ``spec.lanes`` is one of `LANES`."""
    if spec.lanes not in LANES:
        raise UsageError(
            f"spec: {spec.kind}.lanes must be one of {', '.join(map(str, LANES))}, not {spec.lanes}"
        )


@dataclass(frozen=True)
class LanesSpec(WrapperSpec):
    """A unary function of several elements a beat, one copy of its unit a lane.

    Parameters
    ----------
    unit : UnarySpec
        The function; each element's result is that of one lane alone. Of a shared unit, one
        function serves all lanes of a beat.
    lanes : int
        Elements a beat.
    """

    kind = "lanes"

    unit: UnarySpec
    lanes: int

    def __post_init__(self) -> None:
        check_lanes(self)
