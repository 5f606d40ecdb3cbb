"""The payload that every unit's streams carry."""

from amaranth.lib import data, stream

from nnlut_train.formats import Format

from .fixed import shape_of

__all__ = ["beat_layout", "beats"]


def beat_layout(form: Format) -> data.StructLayout:
    """Return the layout of one beat: ``data``, a code of `form`, and ``last``, the row's end."""
    return data.StructLayout({"data": shape_of(form), "last": 1})


def beats(form: Format) -> stream.Signature:
    """Return the signature of a stream of beats."""
    return stream.Signature(beat_layout(form))
