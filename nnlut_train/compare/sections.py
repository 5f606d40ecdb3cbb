"""Generated sections inside a Markdown text that people write.

A section stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from ..errors import UsageError
from ..files import write_bytes
from ..reading import read_text

__all__ = ["check", "fill"]

_MARK = re.compile(r"^<!-- (begin|end) (.*?) -->$", re.MULTILINE)


def check(path: Path, titles: Mapping[str, str]) -> str:
    """Return a Markdown file's text, or the beginning of one where there is no file.

    Raises
    ------
    UsageError
        If it cannot be read, or its marks do not pair, or name a section that does not exist.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        return "# Methods compared\n\nWhat each figure is: docs/fitting.md.\n" + "".join(
            f"\n## {titles[name]}\n\n<!-- begin {name} -->\n<!-- end {name} -->\n"
            for name in titles
        )
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    marks = _MARK.findall(text)
    for begin, end in zip(marks[::2], marks[1::2] + [("", "")] * (len(marks) % 2), strict=True):
        if begin[0] != "begin" or end != ("end", begin[1]):
            raise UsageError(f"{path}: the mark {' '.join(begin)} must be followed by its end")
        if begin[1] not in titles:
            raise UsageError(
                f"{path}: a section must be one of {', '.join(titles)}, not {begin[1]}"
            )
    return text


def fill(path: Path, sections: Mapping[str, str], titles: Mapping[str, str]) -> None:
    """Write the sections between their marks; what people wrote around them stays.

    Raises
    ------
    UsageError
        See `check`.
    """
    text = check(path, titles)
    for name, content in sections.items():
        text = re.sub(
            rf"(?<=^<!-- begin {name} -->\n).*?(?=^<!-- end {name} -->$)",
            lambda _, content=content: f"\n{content}\n\n", text, flags=re.MULTILINE | re.DOTALL,
        )  # fmt: skip
    write_bytes(path, text.encode())
