"""Random tables in place of those of a writable unit."""

import random
from dataclasses import replace

from nnlut_train.tables import DirectTable, PwlTable
from sim.golden import WritableSpec

__all__ = ["random_table", "random_tables"]


def random_table(
    table: PwlTable | DirectTable, draw: random.Random, length: int = 0
) -> PwlTable | DirectTable:
    """Return a table of the same formats, with any integers, and of lines with fewer entries.

    Parameters
    ----------
    table : PwlTable or DirectTable
        The formats.
    draw : random.Random
        Draws the integers.
    length : int
        Of a table of values by the position in the row, so many change.
    """
    if isinstance(table, DirectTable):
        form = table.value or table.output
        values = (draw.randint(form.min, form.max) for _ in range(length))
        return replace(table, values=(*values, *table.values[length:]), meta={})
    count = draw.randint(1, table.entries)
    form = table.argument
    edges = sorted(draw.sample(range(form.min, form.max + 1), count - 1))
    slopes, intercepts = (
        tuple(draw.randint(kind.min, kind.max) for _ in range(count))
        for kind in (table.slope, table.intercept)
    )
    return replace(
        table, breakpoints=tuple(edges), slopes=slopes, intercepts=intercepts, meta={}
    )  # fmt: skip


def random_tables(spec: WritableSpec, draw: random.Random) -> dict[str, PwlTable | DirectTable]:
    """Return a random table in place of each that can be written, by their names."""
    return {name: random_table(table, draw, spec.longest) for name, table in spec.written()}
