"""The payload that every unit's streams carry."""

from amaranth.hdl import Shape, Value
from amaranth.lib import data, stream

from nnlut_train.formats import Format
from sim.golden import Spec

from .fixed import shape_of

__all__ = ["beat_layout", "beats", "input_beats", "lanes_of", "output_beats"]


def beat_layout(
    shape: Format | Shape, lanes: int = 1, user_bits: int = 0, *, mask: bool = False
) -> data.StructLayout:
    """Return the layout of one beat.

    Parameters
    ----------
    shape : Format or Shape
        Of a code.
    lanes : int
        Codes a beat.
    user_bits : int
        Width of ``user``.
    mask : bool
        Whether it has ``mask``: inside row units.

    Returns
    -------
    StructLayout
        ``data``: a code, or with several lanes an array of them. ``keep``, with several lanes: a
        bit a lane, 0 where there is no element. ``user``, if it has bits. ``mask``: a bit a lane, 1
        where the element is masked. ``last``: the row's end.
    """
    code = shape_of(shape) if isinstance(shape, Format) else shape
    members: dict[str, object] = {"data": code if lanes == 1 else data.ArrayLayout(code, lanes)}
    if lanes > 1:
        members["keep"] = lanes
    if user_bits:
        members["user"] = user_bits
    if mask:
        members["mask"] = lanes
    return data.StructLayout(members | {"last": 1})


def lanes_of(payload: data.View) -> list[Value]:
    """Return the codes of a beat, lane 0 first."""
    if isinstance(payload.shape().members["data"], data.ArrayLayout):
        return list(payload.data)
    return [payload.data]


def beats(shape: Format | Shape, lanes: int = 1, user_bits: int = 0, *, mask: bool = False,
          ) -> stream.Signature:  # fmt: skip
    """Return the signature of a stream of beats; see `beat_layout`."""
    return stream.Signature(beat_layout(shape, lanes, user_bits, mask=mask))


def input_beats(spec: Spec) -> stream.Signature:
    """Return the signature of the stream that enters the unit of `spec`."""
    return beats(spec.input, spec.lanes, spec.user_bits)


def output_beats(spec: Spec) -> stream.Signature:
    """Return the signature of the stream that leaves the unit of `spec`."""
    return beats(spec.output, spec.lanes)
