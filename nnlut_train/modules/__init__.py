"""Bit-exact copies of the hardware for torch: made from the specification that it is made from."""

from pathlib import Path

from hw.manifest import load_build
from nnlut_train.errors import UsageError
from nnlut_train.functions import Function
from sim.golden import (
    Base2Spec,
    FloatPwlSpec,
    IbertNormSpec,
    IbertSoftmaxSpec,
    KulischSpec,
    Lut2dSpec,
    NormSpec,
    PwlSpec,
    RexpSpec,
    SharedSpec,
    SoftmaxSpec,
    Spec,
    UnarySpec,
)

from .activation import Activation
from .floating import FloatActivation
from .module import HardwareModule
from .norm import IbertNorm, Norm, NormModule
from .softmax import (
    Base2Softmax,
    IbertSoftmax,
    KulischSoftmax,
    LutSoftmax,
    Softmax,
    SoftmaxModule,
)

__all__ = [
    "Activation", "FloatActivation", "HardwareModule", "NormModule", "SoftmaxModule", "load",
    "module_of",
]  # fmt: skip

_ROWS: dict[type[Spec], type[HardwareModule]] = {
    SoftmaxSpec: Softmax,
    RexpSpec: LutSoftmax,
    Lut2dSpec: LutSoftmax,
    Base2Spec: Base2Softmax,
    KulischSpec: KulischSoftmax,
    IbertSoftmaxSpec: IbertSoftmax,
    NormSpec: Norm,
    IbertNormSpec: IbertNorm,
}


def module_of(spec: Spec, function: Function | None = None, *, number: int = 0) -> HardwareModule:
    """Return the module of a unit.

    Parameters
    ----------
    spec : Spec
        The unit, of any kind.
    function : Function, optional
        What a unary unit of fixed point approximates, for its derivative; see `Activation`.
    number : int
        Of a shared unit, which function.

    Raises
    ------
    UsageError
        If a shared unit has no such function.
    """
    bare = spec.bare
    if isinstance(bare, SharedSpec):
        if not 0 <= number < len(bare.functions):
            raise UsageError(
                f"the function's number must be 0 to {len(bare.functions) - 1}, not {number}"
            )
        return Activation(PwlSpec(bare.functions[number]), function)
    if isinstance(bare, FloatPwlSpec):
        return FloatActivation(spec)
    if isinstance(bare, UnarySpec):
        return Activation(spec, function)
    return _ROWS[type(bare)](spec)


def load(folder: Path | str, *, number: int = 0) -> HardwareModule:
    """Return the module of a folder that ``python -m hw.build`` wrote.

    Parameters
    ----------
    folder : path
        The folder; its tables are read back and checked against its manifest.
    number : int
        See `module_of`.

    Raises
    ------
    UsageError
        If the folder is none, or was changed since.
    """
    spec = load_build(Path(folder)).spec()
    return module_of(spec, number=number)
