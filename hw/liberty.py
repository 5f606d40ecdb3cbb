"""Liberty cell libraries: what `hw.synth` must know of one beyond what Yosys reads itself.

The scanner is no liberty parser. It finds the cells, their areas and whether they are flip-flops
or latches, which are statements whose form does not vary between vendors; Yosys reads the rest.
"""

import functools
import gzip
import hashlib
import io
import math
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nnlut_train.errors import UsageError
from nnlut_train.reading import read_bytes

#: Bytes of a library at most, unpacked.
LIMIT = 1 << 30
# Every pattern takes time in proportion to the text, whatever that is: repetitions do not give
# back (`*+`), and names have an end. A comment without one goes to the end of the file.
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_LIBRARY = re.compile(r"^[^\S\n]*+library\s*+\(\s*+\"?([^\")\n]{0,255}+)\"?\s*+\)", re.MULTILINE)
# `\b` leaves out test_cell and scaled_cell, which repeat a part of the cell they are in.
_CELL = re.compile(r"\bcell\s*+\(\s*+\"?([^\")\s]{1,255}+)\"?\s*+\)\s*+\{")
_AREA = re.compile(r"\barea\s*+:\s*+\"?([-+.\deE]{1,40}+)")
_FLIP_FLOP = re.compile(r"\b(?:ff|ff_bank)\s*\(")
_LATCH = re.compile(r"\b(?:latch|latch_bank|statetable)\s*\(")
_DONT_USE = re.compile(r"\bdont_use\s*:\s*\"?true")
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Cell:
    """A cell of a library.

    Parameters
    ----------
    area : float or None
        In the library's unit, um2 by custom; None where the library gives none.
    flip_flop, latch : bool
        What the cell stores with, if it does.
    usable : bool
        False where the library says ``dont_use``.
    """

    area: float | None
    flip_flop: bool
    latch: bool
    usable: bool


@dataclass(frozen=True, eq=False)
class Library:
    """A liberty file.

    Parameters
    ----------
    file : str
        File name, without its folder.
    name : str
        The name the library gives itself.
    sha256 : str
        Of the file as it is on disk, so of the compressed one where it is.
    content : bytes
        The liberty text.
    cells : dict
        Cell name to `Cell`.
    """

    file: str
    name: str
    sha256: str
    content: bytes
    cells: dict[str, Cell]

    @property
    def has_flip_flop(self) -> bool:
        """Whether a flip-flop of it may be used."""
        return any(cell.flip_flop and cell.usable for cell in self.cells.values())


def read(path: Path) -> Library:
    """Read a liberty file, gzipped or not.

    Parameters
    ----------
    path : Path
        The file; it is the content that tells whether it is gzipped.

    Raises
    ------
    UsageError
        The file cannot be read or is not a liberty cell library.
    """

    def wrong(why: str) -> UsageError:
        return UsageError(f"{path} must be a liberty cell library: {why}")

    try:
        raw = read_bytes(path, LIMIT)
    except OSError as error:
        raise wrong(error.strerror or str(error)) from error
    content = raw
    if raw.startswith(_GZIP_MAGIC) or path.suffix == ".gz":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
                content = file.read(LIMIT + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise wrong(f"it is not a complete gzip file ({error})") from error
        if len(content) > LIMIT:
            raise wrong(f"it must unpack to at most {LIMIT:,} bytes")
    text = _plain(content)
    library = _LIBRARY.search(text)
    if library is None:
        raise wrong("it has no `library (...)`")
    starts = list(_CELL.finditer(text))
    if not starts:
        raise wrong("it has no `cell (...)`")
    ends = [*(start.start() for start in starts[1:]), len(text)]
    try:
        cells = {
            start[1]: _cell(text[start.end() : end])
            for start, end in zip(starts, ends, strict=True)
        }
    except ValueError as error:
        raise wrong(str(error)) from error
    digest = hashlib.sha256(raw).hexdigest()
    return Library(path.name, library[1].strip(), digest, content, cells)


def _plain(content: bytes) -> str:
    # Comments may hold any encoding; what is looked for is ASCII.
    return _COMMENT.sub(" ", content.decode("latin-1"))


@functools.lru_cache(maxsize=8)
def text_of(library: Library) -> str:
    """Return a library's text without its comments and its line continuations."""
    return _plain(library.content).replace("\\\r\n", " ").replace("\\\n", " ")


def _number(text: str) -> float:
    """Return an area; raise ValueError if it is none."""
    area = float(text)
    if not 0 <= area < math.inf:
        raise ValueError(f"an area must be a number, 0 or more, not {text}")
    return area


def _cell(body: str) -> Cell:
    area = _AREA.search(body)
    return Cell(
        area=None if area is None else _number(area[1]),
        # A plain search for a word is a hundred times faster than one by a pattern.
        flip_flop="ff" in body and _FLIP_FLOP.search(body) is not None,
        latch=("latch" in body or "statetable" in body) and _LATCH.search(body) is not None,
        usable="dont_use" not in body or _DONT_USE.search(body) is None,
    )


def read_all(paths: Iterable[Path]) -> list[Library]:
    """Read the liberty files that together are the library of one target.

    Raises
    ------
    UsageError
        One is not a liberty cell library, two define the same cell, or none has a flip-flop.
    """
    libraries = [read(path) for path in paths]
    owner: dict[str, str] = {}
    for library in libraries:
        for cell in library.cells:
            if cell in owner:
                raise UsageError(
                    f"each cell must be in one liberty file, but {cell} is in {owner[cell]} and "
                    f"in {library.file}"
                )
            owner[cell] = library.file
    if not any(library.has_flip_flop for library in libraries):
        names = ", ".join(library.file for library in libraries)
        raise UsageError(f"a liberty cell library must have a flip-flop, but {names} has none")
    return libraries
