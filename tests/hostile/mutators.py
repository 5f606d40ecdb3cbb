"""Damage to valid files: to their bytes, and to what they say."""

import contextlib
import copy
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from hw.manifest import _hash
from nnlut_train.tables import digest

__all__ = ["bytes_of", "place", "resigned", "structure", "text_of"]

#: Module that must never be imported: its name stands in hostile data.
PLANTED = "nnlut_planted"
NUMBERS = (
    0, 1, -1, 2, 3, 7, 31, 63, 64, 127, -128, 255, 4096, 65536, 2**31, -(2**31), 2**32, 2**53 + 1,
    2**63 - 1, 2**63, -(2**63), 2**64, 10**9, 10**12, 10**30, 10**400, 0.5, -0.0, 1e-320, 1e300,
    -1e308, float("inf"), float("-inf"), float("nan"), True, False,
)  # fmt: skip
TEXTS = (
    "", " ", "x", "s8.4", "u8.0", "s1.0", "u48.64", "s48.-64", "s99999999999.0", "s8.99999999999",
    "0.0", f"{PLANTED}:run", "os:system", "__import__('os')", "../../etc/passwd", "/etc/passwd",
    "..", ".", "a\0b", "\ud800", "\udcff", "a\nb", "\x1b[2J", "\ufeff", "é", "A" * 5000, "%s%n{0}",
    "$(touch x)", "`include \"/etc/passwd\"", "a;exec -- touch x", "__class__", "pwl", "direct",
    "exp", "gelu", "softmax", "layernorm", "none", "auto", "nan", "1e999", "-", "--help",
)  # fmt: skip


def _anything(rng: Random) -> Any:
    """Return some JSON value."""
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind < 5:
        return rng.choice(TEXTS)
    if kind == 5:
        return rng.choice([None, [], {}, [[]], [None], {"": None}, [1, 2], ["a"], {"kind": "pwl"}])
    if kind == 6:
        return [rng.choice(NUMBERS)] * rng.choice([1, 2, 3, 1000])
    deep: Any = rng.choice(NUMBERS)
    for _ in range(rng.choice([2, 30, 70, 200])):
        deep = [deep] if rng.random() < 0.5 else {"a": deep}
    return deep


def _places(data: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Return container and key of every value; of a long list only some."""
    if isinstance(data, dict):
        items = list(data.items())
    else:
        items = [(at, data[at]) for at in sorted({0, 1, len(data) // 2, len(data) - 1})
                 if 0 <= at < len(data)]  # fmt: skip
    for key, value in items:
        found.append((data, key))
        if isinstance(value, dict | list):
            _places(value, found)
    return found


def _change(rng: Random, data: Any) -> None:
    """Change one value of JSON data in place."""
    places = _places(data, [])
    if not places:
        return
    holder, key = rng.choice(places)
    value = holder[key]
    kind = rng.randrange(10)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[rng.choice(TEXTS)] = holder.pop(key)
    elif kind == 2 and isinstance(holder, dict):
        holder[rng.choice(TEXTS)] = _anything(rng)
    elif kind == 3:
        other, at = rng.choice(places)
        with contextlib.suppress(LookupError):  # it may be gone by now
            holder[key] = copy.deepcopy(other[at])
    elif kind == 4 and isinstance(value, list):
        holder[key] = rng.choice([value[:-1], value * 2, value[::-1], [*value, _anything(rng)], []])
    elif kind == 5 and isinstance(value, int | float):
        holder[key] = rng.choice([value + 1, value - 1, -value, str(value), value * 1000, [value]])
    elif kind == 6 and isinstance(value, str):
        holder[key] = rng.choice([value[:-1], value + "0", value.upper(), value * 2, [value]])
    else:
        holder[key] = _anything(rng)


def resigned(data: Any) -> Any:
    """Return JSON data whose hashes are right again, so that what is behind them is reached."""
    if isinstance(data, list):
        return [resigned(item) for item in data]
    if not isinstance(data, dict):
        return data
    data = {name: resigned(value) for name, value in data.items()}
    try:
        if "sha256" in data and "checksum" in data:  # a table
            left = ("schema", "sha256", "meta", "checksum")
            data["sha256"] = digest({k: v for k, v in data.items() if k not in left})
        if "checksum" in data:
            data["checksum"] = digest({k: v for k, v in data.items() if k != "checksum"})
        if "sha256" in data and "files" in data:  # a manifest
            data["sha256"] = _hash(data)
    except (ValueError, TypeError, RecursionError):
        pass
    return data


def structure(
    rng: Random, data: Any, sign: Callable[[Any], Any] = resigned, share: float = 0.8
) -> bytes:
    """Return the text of JSON data that was changed in one to three places.

    With probability `share` its hashes are made right again, by `sign`.
    """
    data = copy.deepcopy(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if isinstance(data, dict | list):
            _change(rng, data)
        if rng.random() < 0.01:
            data = _anything(rng)
    try:
        if rng.random() < share:
            data = sign(data)
        text = json.dumps(data, ensure_ascii=rng.random() < 0.9)
    except RecursionError:
        text = "[" * 100_000
    if rng.random() < 0.03 and text.startswith("{") and len(text) > 2:
        text = "{" + text[1:-1] + ", " + text[1:]  # every name twice
    content = text.encode("utf-8", "surrogatepass")
    return bytes_of(rng, content) if rng.random() < 0.05 else content


def bytes_of(rng: Random, content: bytes) -> bytes:
    """Return a file's content with other bytes."""
    data = bytearray(content)
    at = rng.randrange(len(data) + 1)
    kind = rng.randrange(11)
    if kind < 3 and data:
        for _ in range(rng.choice([1, 1, 2, 8])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 3:
        del data[at:]
    elif kind == 4:
        del data[at : at + rng.choice([1, 4, 64])]
    elif kind == 5:
        data[at:at] = rng.choice([b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"9" * 5000,
                                  b"\n" * 1000, rng.randbytes(9)])  # fmt: skip
    elif kind == 6:
        data[at:at] = data[max(0, at - 200) : at]
    elif kind == 7:
        return rng.choice([b"", b"\0", b"[" * 100_000, b"{\"a\":" * 100_000, b"9" * 10_000,
                           b"null", b"\x80\x04]\x94.", b"PK\x03\x04", b"\x1f\x8b",
                           b" " * 1000])  # fmt: skip
    elif kind == 8:
        return bytes(data).decode("latin-1").encode(rng.choice(["utf-16", "utf-32", "utf-8-sig"]))
    elif kind == 9:
        data[at : at + 8] = rng.choice([b"\xff", b"\0", b"\x7f"]) * 8
    else:
        return gzip.compress(bytes(data), mtime=0)
    return bytes(data)


def text_of(rng: Random, content: bytes) -> bytes:
    """Return a text with other words: lost, doubled, exchanged, extreme."""
    words = content.split(b" ")
    for _ in range(rng.choice([1, 2, 5])):
        at, other = rng.randrange(len(words)), rng.randrange(len(words))
        kind = rng.randrange(5)
        if kind == 0:
            words[at] = b""
        elif kind == 1:
            words[at] += b" " + words[at]
        elif kind == 2:
            words[at], words[other] = words[other], words[at]
        elif kind == 3:
            words[at] = rng.choice([
                b"{", b"}", b"/*", b"*/", b"(", b")", b'"', b";", b"\\\n", b"1e999;", b"-1;",
                b"nan;", b"1.2.3;", b"e;", b"9" * 400 + b";", b"cell(x){", b"ff(a,b){",
                b"area : .;",
            ])  # fmt: skip
        else:
            words[at] = bytes_of(rng, words[at])[:500]
    return b" ".join(words)


def place(rng: Random, path: Path) -> bool:
    """Put something else where a file is; tell whether it did."""
    kind = rng.randrange(40)
    if kind > 6:
        return False
    if path.is_symlink() or path.exists():
        path.unlink()
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        path.symlink_to(path.name)  # a loop
    elif kind == 3:
        path.symlink_to(rng.choice(["/dev/zero", "/dev/null", "/dev/full", "/proc/self/mem"]))
    elif kind == 4:
        with path.open("wb") as file:
            file.truncate(1 << 40)  # sparse
    elif kind == 5:
        path.symlink_to("nowhere")
    return True
