"""Units of all kinds that can be writable, small ones."""

from dataclasses import replace

from faults import spec_of
from norms import affine, norm_spec

from nnlut_train.formats import Format
from nnlut_train.tables import PwlTable
from sim.golden import PwlSpec

FORM = Format(True, 4, 1)
LINES = PwlTable(FORM, Format(True, 8, 2), Format(True, 5, 2), Format(False, 9, 3), (-3, 2, 6),
                 (1, -16, 15, 0), (0, 5, 511, 9))  # fmt: skip
WIDE = PwlTable(FORM, Format(True, 30, 2), Format(True, 33, 2), Format(False, 40, 3), (0,),
                (-1, (1 << 32) - 1), (0, (1 << 40) - 1))  # fmt: skip

UNITS = {
    "lines": lambda: PwlSpec(LINES),
    "one line": lambda: PwlSpec(replace(LINES, breakpoints=(), slopes=(3,), intercepts=(4,))),
    "wide": lambda: PwlSpec(WIDE),
    "folded": lambda: spec_of("gelu", 6, entries=4),
    "exp": lambda: spec_of("exp", 6, entries=4),
    "softmax": lambda: spec_of("softmax", 5, length=6, entries=4),
    "lanes": lambda: spec_of("softmax", 5, length=6, entries=4, lanes=2),
    "norm": lambda: norm_spec("layernorm", "pwl", bits=8, length=6, entries=4, **affine(6)),
}
