"""Rows of beats as the files have them, and as the bus models send and receive them.

It lies beside `cocotb_bench` in the folder ``cocotb`` of a build.
"""

import random
from pathlib import Path

from cocotbext.axi import AxiStreamFrame

#: The bytes of a beat, None for those that are not kept; its tuser, and its tlast.
Beat = tuple[list[int | None], int, int]


def beats_of(path: Path, fields: dict[str, list[int]]) -> list[Beat]:
    """Read a .hex file: a beat a line, the bits of each of its fields in `fields`."""

    def field(word: int, name: str, missing: int) -> int:
        if name not in fields:
            return missing
        low, high = fields[name]
        return word >> low & (1 << high - low + 1) - 1

    size = (fields["tdata"][1] + 1) // 8
    beats: list[Beat] = []
    for line in path.read_text(encoding="ascii").split():
        word = int(line, 16)
        data = field(word, "tdata", 0).to_bytes(size, "little")
        keep = field(word, "tkeep", (1 << size) - 1)
        kept = [byte if keep >> at & 1 else None for at, byte in enumerate(data)]
        beats.append((kept, field(word, "tuser", 0), field(word, "tlast", 0)))
    return beats


def frames(beats: list[Beat]) -> list[AxiStreamFrame]:
    """Return a frame a row; what is not kept is random, for it must not matter."""
    rows: list[AxiStreamFrame] = []
    row = AxiStreamFrame(b"", tkeep=[], tuser=[])
    for kept, user, last in beats:
        row.tdata += bytes(random.getrandbits(8) if byte is None else byte for byte in kept)
        row.tkeep += [int(byte is not None) for byte in kept]
        row.tuser += [user] * len(kept)
        if last:
            rows.append(row)
            row = AxiStreamFrame(b"", tkeep=[], tuser=[])
    return rows


def kept_of(frame: AxiStreamFrame) -> list[int | None]:
    """Return the bytes of a frame, None for those that are not kept."""
    keep = frame.tkeep or [1] * len(frame.tdata)
    return [byte if kept else None for byte, kept in zip(frame.tdata, keep, strict=True)]


def results_of(beats: list[Beat]) -> list[list[int | None]]:
    """Return the bytes of each row."""
    rows: list[list[int | None]] = [[]]
    for kept, _, last in beats:
        rows[-1] += kept
        if last:
            rows.append([])
    return rows[:-1]


def text(row: list[int | None]) -> str:
    """Return bytes in hexadecimal, a low line each for those that are not kept."""
    return "".join("__" if byte is None else f"{byte:02x}" for byte in row)
