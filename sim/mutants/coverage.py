"""How many planted faults a unit's standard bench notices."""

import contextvars
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

from hw import yosys
from hw.cache import cached, digest
from sim.golden import Spec
from sim.scenes import encoded, standard_scenes
from sim.verilator import check_verilator

from .kill import killed
from .plant import Mutant, candidates, prepared, sample
from .prove import ENGINE, LIMITS, Verdict, judged
from .rows import every_row

__all__ = ["COUNT", "Coverage", "Survivor", "coverage"]

#: How many faults are planted.
COUNT = 1000
#: So many are compiled into one program: more take longer to compile than they save.
BATCH = 500
#: So many are proved in one go; what is done is kept.
PROVED_AT_ONCE = 48


@dataclass(frozen=True)
class Survivor:
    """A fault that the bench does not notice, and that is not proved to change nothing.

    Parameters
    ----------
    mutant : Mutant
        The fault.
    verdict : Verdict
        `DIFFERENT`: some inputs show it; or `UNDECIDED`.
    """

    mutant: Mutant
    verdict: Verdict

    def line(self) -> str:
        """Return the fault and its place in one line."""
        place = self.mutant.wire or f"{self.mutant.cell} {self.mutant.port}[{self.mutant.bit}]"
        return f"{self.verdict.value}: {self.mutant.mode} of {place}, line {self.mutant.source}"


@dataclass(frozen=True)
class Coverage:
    """What became of the faults of a unit.

    Parameters
    ----------
    name : str
        The unit.
    possible, mutants : int
        Faults that could be planted, and that were.
    killed : int
        The bench noticed them.
    equivalent : int
        It did not, and they are proved to be invisible from outside.
    survivors : tuple of Survivor
        The others.
    scenes : dict of str to int
        Scene to the faults that it noticed first.
    seed : int
        Of the sample.
    seconds : float
        How long it took; less where results were kept.
    """

    name: str
    possible: int
    mutants: int
    killed: int
    equivalent: int
    survivors: tuple[Survivor, ...]
    scenes: dict[str, int]
    seed: int
    seconds: float

    @property
    def score(self) -> float | None:
        """Share of the faults that can be seen, or may be, that are noticed; None without any."""
        seen = self.mutants - self.equivalent
        return self.killed / seen if seen else None

    def line(self) -> str:
        """Return the counts in one line."""
        score = "no fault that can be seen" if self.score is None else f"score {self.score:.2%}"
        return (
            f"{self.name}: {self.mutants:,} mutants, {self.killed:,} killed, "
            f"{self.equivalent:,} proved equivalent, {len(self.survivors):,} survivors, {score}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return all as JSON-ready data."""
        return {
            "name": self.name, "possible": self.possible, "mutants": self.mutants,
            "killed": self.killed, "equivalent": self.equivalent, "score": self.score,
            "survivors": [{**asdict(each.mutant), "verdict": each.verdict.value}
                          for each in self.survivors],
            "scenes": self.scenes, "seed": self.seed, "engine": ENGINE,
            "seconds": round(self.seconds, 2),
        }  # fmt: skip


def coverage(
    spec: Spec, verilog: str, top: str, *, count: int = COUNT, seed: int = 0, checked: bool = True,
    limits: tuple[int, ...] = LIMITS, jobs: int | None = None,
    told: Callable[[str, int, int], object] = lambda step, done, total: None,
) -> Coverage:  # fmt: skip
    """Plant faults in a unit's Verilog, and count those that its standard bench notices.

    Results are kept where `hw.cache.use` says, so that what was interrupted goes on.

    Parameters
    ----------
    spec : Spec
        The unit.
    verilog : str
        What `hw.verilog.to_verilog` wrote for it.
    top : str
        Name of its top module.
    count : int
        How many; fewer where there are not so many places.
    seed : int
        Of the sample of faults; the bench has its own, which never changes.
    checked : bool
        Whether the bench compares anything; without, it must notice nothing.
    limits : tuple of int
        Seconds for the proof of a fault: see `sim.mutants.prove.judged`.
    jobs : int, optional
        Processes at a time; by default as many as there are cores.
    told : callable
        Is called with the step, how many of its faults are done, and of how many.

    Raises
    ------
    StepError
        If the unit without a fault does not pass, or a tool is missing or fails.
    """
    check_verilator()
    began = time.monotonic()
    netlist = prepared(verilog, top)
    everything = candidates(netlist, top)
    mutants = sample(everything, count, seed)
    scenes = standard_scenes(spec)
    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        work = _Work(pool, netlist, top, told)
        outcomes = work.all(
            "simulate", mutants, BATCH, _Killing(spec, encoded(spec, scenes), checked)
        )
        alive = [m for m, found in zip(mutants, outcomes, strict=True) if not found["fault"]]
        open_, rows = alive, every_row(spec)
        verdicts: dict[Mutant, Verdict] = {}
        if rows is not None:
            # Not the bench: it shows which faults no row can show.
            shown = work.all("all rows", alive, BATCH, _Killing(spec, encoded(spec, rows), True))
            verdicts = {m: Verdict.DIFFERENT for m, found in zip(alive, shown, strict=True)
                        if found["fault"]}  # fmt: skip
            open_ = [mutant for mutant in alive if mutant not in verdicts]
        judged_ = work.all("prove", open_, PROVED_AT_ONCE, _Judging(spec, limits, rows is None))
    verdicts |= {mutant: Verdict(found["verdict"])
                 for mutant, found in zip(open_, judged_, strict=True)}  # fmt: skip
    survivors = tuple(Survivor(mutant, verdicts[mutant]) for mutant in alive
                      if verdicts[mutant] is not Verdict.EQUIVALENT)  # fmt: skip
    first = Counter(scenes[found["scene"]].name for found in outcomes if found["fault"])
    return Coverage(
        top, len(everything), len(mutants), len(mutants) - len(alive), len(alive) - len(survivors),
        survivors, dict(first), seed, time.monotonic() - began,
    )  # fmt: skip


@dataclass(frozen=True)
class _Killing:
    """Simulates mutants."""

    spec: Spec
    scenes: bytes
    checked: bool

    def key(self) -> dict[str, Any]:
        parts = [resources.files("sim").joinpath(file).read_bytes()
                 for file in ("harness.cpp", "harness_lite.h")]  # fmt: skip
        return {"result": "mutants killed 1", "scenes": digest(self.scenes),
                "harness": digest(b"".join(parts)), "checked": self.checked}  # fmt: skip

    def __call__(
        self, netlist: str, top: str, mutants: Mapping[int, Mutant], told: Callable[[], object]
    ) -> dict[int, dict[str, Any]]:
        found = killed(self.spec, netlist, top, mutants, self.scenes, checked=self.checked,
                       told=lambda number: told())  # fmt: skip
        return {number: asdict(outcome) for number, outcome in found.items()}


@dataclass(frozen=True)
class _Judging:
    """Proves that mutants change nothing."""

    spec: Spec
    limits: tuple[int, ...]
    #: False where all rows were simulated.
    results: bool

    def key(self) -> dict[str, Any]:
        return {"result": "mutants judged 3", "limits": self.limits, "engine": ENGINE,
                "results": self.results}  # fmt: skip

    def __call__(
        self, netlist: str, top: str, mutants: Mapping[int, Mutant], told: Callable[[], object]
    ) -> dict[int, dict[str, Any]]:
        found = judged(
            self.spec,
            netlist,
            top,
            mutants,
            results=self.results,
            limits=self.limits,
            told=lambda number, verdict: told(),
        )
        return {number: {"verdict": verdict.value} for number, verdict in found.items()}


@dataclass(frozen=True)
class _Work:
    """Does mutants in parts, side by side, and keeps what is done."""

    pool: ThreadPoolExecutor
    netlist: str
    top: str
    told: Callable[[str, int, int], object]

    def all(
        self, step: str, mutants: Sequence[Mutant], size: int, do: _Killing | _Judging
    ) -> list[dict[str, Any]]:
        """Return what `do` finds of each mutant."""
        done = 0

        def one(more: int = 1) -> None:
            nonlocal done
            done += more
            self.told(step, done, len(mutants))

        def part(some: Sequence[Mutant]) -> list[dict[str, Any]]:
            key = do.key() | {
                "netlist": digest(self.netlist), "mutants": [mutant.key() for mutant in some],
                "yosys": yosys.version(),
            }  # fmt: skip
            made = False

            def make() -> dict[str, Any]:
                nonlocal made
                made = True
                found = do(self.netlist, self.top, dict(enumerate(some, 1)), one)
                return {"found": [found[number] for number in range(1, len(some) + 1)]}

            result = cached(key, make)["found"]
            if not made:
                one(len(some))
            return result

        self.told(step, 0, len(mutants))
        parts = [mutants[at : at + size] for at in range(0, len(mutants), size)]
        futures = [self.pool.submit(contextvars.copy_context().run, part, some) for some in parts]
        return [each for future in futures for each in future.result()]
