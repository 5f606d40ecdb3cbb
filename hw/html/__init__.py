"""The report of a build for a browser: what it is, what it costs, how it was proved."""

from . import integer_blocks as integer_blocks  # registers its blocks
from . import table_blocks as table_blocks
from .page import page

__all__ = ["page"]
