"""What can be chosen: ops, their methods, and the ranges of options."""

from nnlut_train.functions import FUNCTIONS

__all__ = [
    "ARCHS", "DIRECT_BITS_MAX", "EPS", "FOLD_CHOICES", "LENGTH_MAX", "METHODS", "OPS", "PRECISIONS",
    "ROW_OPS", "TABLES_CHOICES", "WIDE_BITS",
]  # fmt: skip

ROW_OPS = ("softmax", "layernorm", "rmsnorm")
#: What `hw.build` knows by name; a user's ``package.module:callable`` is one more.
OPS = (*ROW_OPS, *FUNCTIONS)
#: The ways to compute an op; the first is the default, and the only one of all others.
METHODS = {
    "softmax": ("nnlut", "rexp", "lut2d", "base2", "ibert"),
    "layernorm": ("nnlut", "ibert"),
    "gelu": ("nnlut", "ibert"),
    "exp": ("nnlut", "ibert"),
    "sqrt": ("nnlut", "ibert"),
}
ARCHS = ("auto", "pwl", "direct")
FOLD_CHOICES = ("auto", "none")
TABLES_CHOICES = ("rom", "writable")
#: Precisions of the tables of rexp and lut2d, by the paper's names.
PRECISIONS = ("uint8", "int16", "uint4", "uint2")
#: Epsilon of the norms by default.
EPS = {"layernorm": 1e-5, "rmsnorm": 1e-6}

#: Widest input of a direct table: 4096 values. Each bit more doubles it.
DIRECT_BITS_MAX = 12
#: Width of the plain pwl unit beyond 16 bits: the papers' INT32 baseline.
WIDE_BITS = 32
#: Longest row.
LENGTH_MAX = 4096
