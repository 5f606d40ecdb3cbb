"""Sentence pairs with a gold similarity (STS), from a tab-separated file.

The first line names the columns; `score`, `sentence1` and `sentence2` must be among them, in any
order. Every other line is a pair. The file is UTF-8; quotes are plain characters.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UsageError
from ..reading import read_bytes

__all__ = ["HIGHEST", "Pairs", "read", "read_sentences"]

#: The largest similarity: two sentences that mean the same.
HIGHEST = 5.0

_SENTENCES = ("sentence1", "sentence2")


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of sentences, each sentence held once.

    Parameters
    ----------
    sentences : tuple of str, length m
        Every sentence that occurs, in the order of the file.
    first, second : int64 array, shape (n,)
        The two sentences of each pair, as positions in `sentences`.
    scores : float64 array, shape (n,)
        Gold similarities, 0 to `HIGHEST`.
    """

    sentences: tuple[str, ...]
    first: np.ndarray
    second: np.ndarray
    scores: np.ndarray


def _rows(path: Path, columns: tuple[str, ...]) -> list[tuple[int, list[str]]]:
    """Return line number and the fields in `columns` of every line below the first."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}, line {line}: must be UTF-8, not {error.reason}") from error
    # Not splitlines: a caption may hold characters that it takes for line ends.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if not lines[-1]:
        lines.pop()
    if not lines:
        raise UsageError(f"{path}: must hold sentence pairs, but is empty")
    header = lines[0].split("\t")
    for name in columns:
        if header.count(name) != 1:
            raise UsageError(
                f"{path}, line 1: must name the column {name} once, among tab-separated "
                f"{', '.join(columns)}, not {header.count(name)} times"
            )
    at = [header.index(name) for name in columns]
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("\t")
        if len(fields) != len(header):
            raise UsageError(
                f"{path}, line {number}: must have {len(header)} tab-separated columns, "
                f"not {len(fields)}"
            )
        for name, place in zip(columns, at, strict=True):
            if not fields[place].strip():
                raise UsageError(f"{path}, line {number}: {name} must not be empty")
        rows.append((number, [fields[place] for place in at]))
    if not rows:
        raise UsageError(f"{path}: must hold sentence pairs below its first line, but has none")
    return rows


def _score(path: Path, line: int, text: str) -> float:
    try:
        score = float(text) if "_" not in text else math.nan
    except ValueError:
        score = math.nan
    if not 0.0 <= score <= HIGHEST:
        raise UsageError(
            f"{path}, line {line}: score must be a number from 0 to {HIGHEST:g}, not {text!r}"
        )
    return score


def read(path: Path | str) -> Pairs:
    """Read the pairs of a file.

    Raises
    ------
    UsageError
        If the file cannot be read, is not UTF-8, lacks a column or a field, or a score is no
        number from 0 to `HIGHEST`; the message names file and line.
    """
    path = Path(path)
    rows = _rows(path, ("score", *_SENTENCES))
    scores = np.array([_score(path, line, fields[0]) for line, fields in rows])
    at: dict[str, int] = {}
    pairs = np.array(
        [[at.setdefault(sentence, len(at)) for sentence in fields[1:]] for _, fields in rows],
        dtype=np.int64,
    )
    return Pairs(tuple(at), pairs[:, 0], pairs[:, 1], scores)


def read_sentences(path: Path | str) -> tuple[str, ...]:
    """Read the sentences of a file, each once, and no scores: it need not have any.

    Raises
    ------
    UsageError
        As `read`, but for the scores.
    """
    rows = _rows(Path(path), _SENTENCES)
    return tuple(dict.fromkeys(sentence for _, fields in rows for sentence in fields))
