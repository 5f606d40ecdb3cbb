"""Interruption: ``python bench/interrupt.py``: tools that are killed at many moments.

Each tool first gives a result. Then it is asked for another one in the same place, and gets a
signal at a random moment of its run, with nothing in its cache. What was there must be there
unchanged, or be replaced as a whole: a build in one step, of other results each file. SIGINT and
SIGTERM must leave nothing temporary, and no process. At the end of each row the tool runs through:
it must give what it gives without any interruption.
"""

import argparse
import hashlib
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from common import table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "hostile"))

from killing import content, litter, start

HEAD = ("command", "signal", "runs", "killed", "result whole", "litter", "processes left",
        "longest end, s", "resumed")  # fmt: skip
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


@dataclass(frozen=True)
class Job:
    """A command: what gives the earlier result, what the later, and where their results are."""

    name: str
    earlier: Sequence[str]
    later: Sequence[str]
    out: str


def _jobs(place: Path) -> list[Job]:
    """Return the commands; their results differ."""
    build = ["hw.build", "--op", "gelu", "--bits", "5", "--target", "generic", "ice40", "--out",
             str(place / "build")]  # fmt: skip
    fit = ["nnlut_train", "fit", "--function", "gelu", "--bits", "10", "--method", "genetic",
           "--force", "--out", str(place / "fit" / "table.json")]  # fmt: skip
    methods = ["nnlut_train", "compare", "--functions", "gelu", "--bits", "8", "--jobs", "2",
               "--seeds", "2", "--out", str(place / "fits")]  # fmt: skip
    costs = ["hw.compare", "--groups", "baselines", "--target", "generic", "--jobs", "2", "--out",
             str(place / "costs")]  # fmt: skip
    return [
        Job("hw.build", [*build, "--arch", "direct"], [*build, "--arch", "pwl"], "build"),
        Job("nnlut_train fit", [*fit, "--entries", "4"], [*fit, "--entries", "8"], "fit"),
        Job("nnlut_train compare",
            [*methods, "--entries", "8", "--methods", "linear", "equal_error"],
            [*methods, "--entries", "8", "--methods", "lutapp", "genetic", "linear"], "fits"),
        Job("hw.compare", [*costs, "--only", "gelu_int8 pwl entries=8"],
            [*costs, "--only", "gelu_int8"], "costs"),
    ]  # fmt: skip


def _left(mark: str) -> list[int]:
    """Return the processes that have a text in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _content(out: Path) -> dict[str, str]:
    """Return the hashes of results, without pictures (they show what is beside them) and times."""
    found = {}
    for name in content(out):
        if not name.endswith((".svg", ".png")):
            timeless = re.sub(rb'"(wall_)?seconds": [0-9.e-]+', b"", (out / name).read_bytes())
            found[name] = hashlib.sha256(timeless).hexdigest()
    return found


def _whole(now: dict[str, str], earlier: dict[str, str], later: dict[str, str]) -> bool:
    """Tell whether a result is the earlier or the later one; of several files, each for itself."""
    if any(name.endswith(".v") for name in earlier):  # a build
        return now in (earlier, later)
    names = earlier.keys() | now.keys()
    return all(now.get(name) in (earlier.get(name), later.get(name)) for name in names)


def _run(words: Sequence[str], folder: Path) -> float:
    """Run a command to its end, and return the seconds it took."""
    began = time.monotonic()
    process = start(words, folder / "temporary", folder / "cache")
    said = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}: {said}")
    return time.monotonic() - began


def _empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def _row(number: int, signal_: signal.Signals, count: int, rng: random.Random) -> list[object]:
    with tempfile.TemporaryDirectory(prefix="nnlut-interrupt-") as name:
        folder = Path(name)
        for each in ("temporary", "cache", "place"):
            (folder / each).mkdir()
        job = _jobs(folder / "place")[number]
        out = folder / "place" / job.out
        places = folder / "temporary", folder / "place", out
        _run(job.earlier, folder)
        _empty(folder / "cache")
        seconds = _run(job.later, folder)
        later = _content(out)
        _run(job.earlier, folder)
        earlier = _content(out)
        killed = whole = dirty = left = 0
        longest = 0.0
        for _ in range(count):
            _empty(folder / "cache")
            process = start(job.later, folder / "temporary", folder / "cache")
            time.sleep(rng.uniform(0.1, seconds))
            began = time.monotonic()
            ended = process.poll() is not None
            process.send_signal(signal_)
            process.communicate(timeout=120)
            longest = max(longest, time.monotonic() - began)
            if not ended:
                killed += 1
                # What it ran ends by itself after SIGKILL, and when it ends in other cases.
                until = time.monotonic() + (30 if signal_ == signal.SIGKILL else 1)
                while _left(name) and time.monotonic() < until:
                    time.sleep(0.1)
                whole += _whole(_content(out), earlier, later)
                dirty += any(map(litter, places))
                left += bool(_left(name))
            if _content(out) != earlier:  # it went through: begin again
                _run(job.earlier, folder)
        for path in (path for place in places for path in place.iterdir()):
            os.utime(path, (time.time() - 3600,) * 2)
        _run(job.later, folder)
        resumed = _content(out) == later
        swept = "left" if any(map(litter, places)) else "swept"
        return [job.name, signal_.name, count, killed, whole, f"{dirty}, then {swept}", left,
                f"{longest:.1f}", "yes" if resumed else "no"]  # fmt: skip


def _rows(count: int, seed: int, only: Sequence[str] | None) -> Iterator[list[object]]:
    names = [job.name for job in _jobs(Path())]
    for number, name in enumerate(names):
        for signal_ in NUMBERS:
            if only is None or name in only:
                yield _row(number, signal_, count, random.Random(f"{seed} {name} {signal_}"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20, help="for each command and signal")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="COMMAND")
    arguments = parser.parse_args()
    rows = list[list[object]]()

    def kept() -> Iterator[list[object]]:
        for row in _rows(arguments.runs, arguments.seed, arguments.only):
            rows.append(row)
            yield row

    table(HEAD, kept())
    good = all(
        row[3] == row[4] > 0 and row[6] == 0 and row[8] == "yes" and row[5].endswith("swept")
        and (row[1] == "SIGKILL" or row[5].startswith("0,"))
        for row in rows
    )  # fmt: skip
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
