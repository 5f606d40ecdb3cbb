"""What can be chosen: ops, their methods, and the ranges of options."""

from nnlut_train.floats import FLOATS
from nnlut_train.functions import FUNCTIONS

__all__ = [
    "ARCHS",
    "ARCH_BITS_MAX",
    "DIRECT_BITS_MAX",
    "EPS",
    "FLOAT_BITS",
    "FOLD_CHOICES",
    "LENGTH_MAX",
    "LINE_ARCHS",
    "LUT_PRECISIONS",
    "METHODS",
    "NARROW_ARCHS",
    "OPS",
    "PRECISIONS",
    "ROW_ARCHS",
    "ROW_OPS",
    "SLOW_ARCHS",
    "TABLES_CHOICES",
    "WIDE_BITS",
]

ROW_OPS = ("softmax", "layernorm", "rmsnorm")
#: What `hw.build` knows by name; a user's ``package.module:callable`` is one more.
OPS = (*ROW_OPS, *FUNCTIONS)
#: The ways to compute an op; the first is the default, and the only one of all others.
METHODS = {
    "softmax": ("nnlut", "rexp", "lut2d", "base2", "kulisch", "ibert"),
    "layernorm": ("nnlut", "ibert"),
    "gelu": ("nnlut", "ibert"),
    "exp": ("nnlut", "ibert"),
    "sqrt": ("nnlut", "ibert"),
}
FOLD_CHOICES = ("auto", "none")
TABLES_CHOICES = ("rom", "writable")
#: Precisions of the tables of rexp and lut2d, by the paper's names.
LUT_PRECISIONS = ("uint8", "int16", "uint4", "uint2")
#: All precisions: also of lines, floating point, by its width.
FLOAT_BITS = {name: form.bits for name, form in FLOATS.items()}
PRECISIONS = (*LUT_PRECISIONS, *FLOAT_BITS)
#: Epsilon of the norms by default.
EPS = {"layernorm": 1e-5, "rmsnorm": 1e-6}

#: Widest input of a direct table: 4096 values. Each bit more doubles it.
DIRECT_BITS_MAX = 12
#: Width of the plain pwl unit beyond 16 bits: the papers' INT32 baseline.
WIDE_BITS = 32
#: The architectures of a table, and the widest input that each is for.
ARCH_BITS_MAX = {
    "pwl": WIDE_BITS,
    "direct": DIRECT_BITS_MAX,
    "delta": DIRECT_BITS_MAX,
    "minimised": 10,
    "multipartite": 16,
    "indexed": 16,
    "shiftadd": 16,
}
ARCHS = ("auto", *ARCH_BITS_MAX)
#: Those that take long to make: ``auto`` does not try them.
SLOW_ARCHS = ("minimised",)
#: Those whose size grows so slowly with the width that a table behind a range reduction may see
#: every bit that matters.
LINE_ARCHS = ("pwl", "indexed", "shiftadd")
#: Those that see every such bit, but take a function of up to `DIRECT_BITS_MAX` bits as a whole.
NARROW_ARCHS = (*LINE_ARCHS, "multipartite")
#: Those that ``auto`` tries for the tables inside a unit of rows.
ROW_ARCHS = ("pwl", "direct")
#: Longest row.
LENGTH_MAX = 4096
