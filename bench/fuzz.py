"""Hostile input: ``python bench/fuzz.py``: how the tools take 50,000 damaged files and options.

Every case damages a valid file, an option or an environment variable, and runs the tool that reads
it. It must end with status 0, 1 or 2, say what is wrong in one line, leave no file behind that it
did not finish, run no code that a data file names, and take neither long nor much memory. A case is
told by its number, and is the same again with ``--only NUMBER``.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random

from common import table

from nnlut_train.interrupt import enter_worker

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "hostile"))

from running import Outcome, judge
from seeds import Seeds
from targets import TARGETS, environment

HEAD = ("input", "cases", "exit 0", "exit 1", "exit 2", "tracebacks and other faults", "seconds")
#: Cases that a process does at a time.
CHUNK = 250


def _target(seed: int, number: int) -> str:
    weights = [share for _, share in TARGETS.values()]
    return Random(f"{seed} {number}").choices(list(TARGETS), weights)[0]


def _some(seed: int, numbers: range | list[int]) -> list[tuple[int, str, Outcome]]:
    """Run some cases in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="nnlut-fuzz-") as name:
        folder = Path(name)
        (folder / "files").mkdir()
        seeds, done = Seeds(folder / "files"), []
        _ = seeds.builds, seeds.certified, seeds.plan  # made by tools that work
        before = dict(os.environ)
        os.environ.update(environment(folder))
        try:
            for number in numbers:
                target = _target(seed, number)
                prepare, _ = TARGETS[target]
                outcome = judge(
                    lambda rng, at, prepare=prepare: prepare(seeds, rng, at),
                    f"{seed} {number}", folder / "case",
                )  # fmt: skip
                done.append((number, target, outcome))
        finally:
            os.environ.clear()
            os.environ.update(before)
    return done


def _all(cases: int, seed: int, jobs: int) -> Iterator[tuple[int, str, Outcome]]:
    parts = [range(at, min(at + CHUNK, cases)) for at in range(0, cases, CHUNK)]
    if jobs == 1:
        for part in parts:
            yield from _some(seed, part)
        return
    with ProcessPoolExecutor(jobs, initializer=enter_worker) as pool:
        for done in pool.map(_some, [seed] * len(parts), parts):
            yield from done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="one case, and how it ended")
    arguments = parser.parse_args()
    if arguments.only is not None:
        ((_, target, outcome),) = _some(arguments.seed, [arguments.only])
        print(f"{target}: status {outcome.status}, {outcome.seconds:.3f} s\n{outcome.wrong}")
        return bool(outcome.wrong)
    began, faults = time.monotonic(), 0
    status: dict[str, Counter] = {name: Counter() for name in TARGETS}
    for number, target, outcome in _all(arguments.cases, arguments.seed, arguments.jobs):
        counter = status[target]
        counter["cases"] += 1
        counter["seconds"] += outcome.seconds
        counter["fault" if outcome.wrong else outcome.status] += 1
        if outcome.wrong:
            faults += 1
            last = outcome.wrong.strip().splitlines()[-1]
            print(f"case {number}, {target}: {last[:200]}", file=sys.stderr, flush=True)
    rows = [
        (
            name,
            f"{c['cases']:,}",
            *(f"{c[key]:,}" for key in (0, 1, 2, "fault")),
            f"{c['seconds']:.1f}",
        )
        for name, c in status.items()
    ]
    total = sum(status.values(), Counter())
    rows.append(("all", f"{total['cases']:,}", *(f"{total[key]:,}" for key in (0, 1, 2, "fault")),
                 f"{total['seconds']:.1f}"))  # fmt: skip
    table(HEAD, rows)
    print(f"\nin {time.monotonic() - began:.0f} s, with {arguments.jobs} processes")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
