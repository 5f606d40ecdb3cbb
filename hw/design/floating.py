"""Units of floating-point lines from a request."""

from dataclasses import replace

from nnlut_train.float_table import FloatTable
from nnlut_train.floats import FLOATS
from nnlut_train.tables import PwlTable
from sim.golden import FloatPwlSpec, PwlSpec, UnarySpec

from ..choices import WIDE_BITS
from .tables import Tables
from .unary import unary

__all__ = ["floating"]


def floating(tables: Tables) -> UnarySpec:
    """Return the unit of a function of one argument in the precision that is asked for.

    The lines are learned in the finest fixed-point format, that of the plain 32-bit unit, over the
    function's domain, and every number of the table is rounded to the floating-point format. Beyond
    the domain the outer lines run on.
    """
    request = tables.request
    form = FLOATS[request.precision]
    table = request.table
    if table is None:
        wide = replace(request, precision=None, bits=WIDE_BITS, output_bits=WIDE_BITS)
        spec = unary(replace(tables, request=wide))
        assert isinstance(spec, PwlSpec)
        table = spec.table
    if type(table) is PwlTable:
        table = FloatTable.of_lines(table, form)
    assert isinstance(table, FloatTable)
    return FloatPwlSpec(table)
