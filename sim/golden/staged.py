"""The units whose pipeline registers can be chosen."""

from .indexed import IndexedSpec
from .multipartite import MultipartiteSpec
from .pwl import PwlSpec

__all__ = ["StagedSpec"]

#: Units of one table that can have a register between any two of their steps.
StagedSpec = PwlSpec | IndexedSpec | MultipartiteSpec
