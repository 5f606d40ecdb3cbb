"""Random tables in place of those of a writable unit."""

import random
from dataclasses import replace

from nnlut_train.tables import DirectTable, PwlTable
from sim.golden import WritableSpec

__all__ = ["random_table", "random_tables"]


def random_table(
    table: PwlTable | DirectTable, draw: random.Random, length: int = 0, *, full: bool = False
) -> PwlTable | DirectTable:
    """Return a table of the same formats, with any integers.

    Parameters
    ----------
    table : PwlTable or DirectTable
        The formats.
    draw : random.Random
        Draws the integers.
    length : int
        Of a table of values by the position in the row, so many change.
    full : bool
        Of lines, whether all entries are in use; else a random number of them.
    """
    if isinstance(table, DirectTable):
        form = table.value or table.output
        values = (draw.randint(form.min, form.max) for _ in range(length))
        return replace(table, values=(*values, *table.values[length:]), meta={})
    count = table.entries if full else draw.randint(1, table.entries)
    form = table.argument
    edges = sorted(draw.sample(range(form.min, form.max + 1), count - 1))
    slopes, intercepts = (
        tuple(draw.randint(kind.min, kind.max) for _ in range(count))
        for kind in (table.slope, table.intercept)
    )
    return replace(
        table, breakpoints=tuple(edges), slopes=slopes, intercepts=intercepts, meta={}
    )  # fmt: skip


def random_tables(
    spec: WritableSpec, draw: random.Random, *, full: bool = False
) -> dict[str, PwlTable | DirectTable]:
    """Return a random table in place of each that can be written, by their names."""
    return {name: random_table(table, draw, spec.longest, full=full)
            for name, table in spec.written()}  # fmt: skip
