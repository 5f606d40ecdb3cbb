"""``python -m sim.mutants BUILD_DIR``."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from hw import cache
from hw.manifest import load_build
from nnlut_train import cli
from nnlut_train.errors import UsageError
from nnlut_train.files import write_bytes

from .coverage import COUNT, Coverage, coverage
from .plant import CONTROL_BITS

__all__ = ["folder", "main"]


def folder() -> Path:
    """Return the folder of kept results, beside those of synthesis."""
    return cache.default_folder().parent / "mutants"


def _main(argv: Sequence[str] | None) -> None:
    parser = cli.ArgumentParser(
        prog="python -m sim.mutants",
        description="Plant faults in a build's Verilog, and count those that its standard bench "
        "notices; prove of the others that they change nothing, or list them. What is done is "
        "kept, so that an interrupted run goes on.",
    )
    parser.add_argument(
        "build", metavar="BUILD_DIR", type=Path, help="folder that hw.build has written"
    )
    parser.add_argument("--count", type=int, default=COUNT, metavar="N",
                        help="faults to plant (default: %(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N",
                        help="seed of the sample of faults (default: %(default)s)")  # fmt: skip
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: one a core)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--no-cache", action="store_true", help="keep no results, and use none")
    _run(parser.parse_args(argv))


def _run(options: argparse.Namespace) -> None:
    most = (1 << CONTROL_BITS) - 1
    if not 1 <= options.count <= most:
        raise UsageError(f"--count must be 1 to {most}, not {options.count}")
    if options.jobs is not None and options.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {options.jobs}")
    if options.json is not None and not options.json.absolute().parent.is_dir():
        raise UsageError(f"--json must name a file in a folder that exists, not {options.json}")
    build = load_build(options.build)
    with (
        cache.use(None if options.no_cache else folder()),
        tqdm(desc="mutants", leave=False, disable=None) as bar,
    ):

        def told(step: str, done: int, total: int) -> None:
            bar.set_description(step, refresh=False)
            bar.total, bar.n = total, done
            bar.refresh()

        found = coverage(
            build.spec(), build.text(), build.name, count=options.count,
            seed=options.seed, jobs=options.jobs, told=told,
        )  # fmt: skip
    _print(found, options.count)
    if options.json is not None:
        try:
            write_bytes(options.json, (json.dumps(found.to_json(), indent=1) + "\n").encode())
        except OSError as error:
            raise UsageError(
                f"--json must name a file that can be written, not {options.json}: {error.strerror}"
            ) from error


def _print(found: Coverage, wanted: int) -> None:
    if found.mutants < wanted:
        print(f"all faults that Yosys can plant: {found.mutants:,}, not {wanted:,}")
    for survivor in found.survivors:
        print(f"  {survivor.line()}")
    print(found.line())


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``python -m sim.mutants``; see `nnlut_train.cli.run_main` for the exit status."""
    return cli.run_main("sim.mutants", _main, argv)
