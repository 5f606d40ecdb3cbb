"""How many pipeline stages a unit can have, and the unit with so many."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from itertools import product

from nnlut_train.errors import InfeasibleError
from sim.golden import Spec, UnarySpec
from sim.golden.pipelining import Steps
from sim.golden.staged import StagedSpec
from sim.golden.wrapper import WrapperSpec

__all__ = ["Staging", "staging", "with_stages"]


@dataclass(frozen=True)
class _Part:
    """Steps whose stages can be chosen, and the fields that lead to their number."""

    path: tuple[str, ...]
    steps: Steps

    @property
    def most(self) -> int:
        return len(self.steps.names)

    @cached_property
    def useful(self) -> dict[int, list[int]]:
        """Lengths by the number of stages, of those numbers that are better than fewer."""
        found: dict[int, list[int]] = {}
        for stages in range(1, self.most + 1):
            lengths = self.steps.lengths(stages)
            if not found or lengths < min(found.values()):
                found[stages] = lengths
        return found


@dataclass(frozen=True)
class Staging:
    """What stages a unit can have.

    Parameters
    ----------
    parts : tuple of _Part
        What can be cut: each has at least one stage.
    fixed : int
        Stages of everything else.
    """

    parts: tuple[_Part, ...]
    fixed: int

    @property
    def fewest(self) -> int:
        """The fewest clocks that the latency can be."""
        return self.fixed + len(self.parts)

    @property
    def most(self) -> int:
        """The most clocks that the latency can be."""
        return self.fixed + sum(part.most for part in self.parts)

    def _best(self, stages: int) -> tuple[int, ...]:
        found = [
            counts
            for counts in product(*(part.useful for part in self.parts))
            if sum(counts) <= stages - self.fixed
        ]
        return min(found, key=lambda counts: (self._lengths(counts), counts))

    def share(self, stages: int) -> tuple[int, ...]:
        """Return the stages of each part, so that the longest of all is as short as possible.

        Then the second longest, and so on; what is left over goes to the last parts.
        """
        left, counts = stages - self.fixed, list(self._best(stages))
        for number in reversed(range(len(counts))):
            more = min(left - sum(counts), self.parts[number].most - counts[number])
            counts[number] += more
        return tuple(counts)

    def _lengths(self, counts: Sequence[int]) -> list[int]:
        pairs = zip(self.parts, counts, strict=True)
        return sorted((each for part, count in pairs for each in part.useful[count]), reverse=True)

    def lengths(self, stages: int) -> list[int]:
        """Return the gate levels of the stages of the parts, the longest first.

        Stages that are too many to be of use are left out.
        """
        return self._lengths(self._best(stages)) if self.parts else []


def _inner(spec: Spec) -> str | None:
    """Return the field with the one unit inside, if there is one."""
    assert is_dataclass(spec)
    found = [field.name for field in fields(spec)
             if isinstance(getattr(spec, field.name), UnarySpec | WrapperSpec)]  # fmt: skip
    return found[0] if len(found) == 1 and not spec.longest else None


def _parts(spec: Spec) -> list[_Part]:
    """Return what can be cut, in the order of the data."""
    if isinstance(spec, StagedSpec):
        return [_Part(("stages",), spec.steps)]
    name = _inner(spec)
    if name is None:
        return []
    own = {field: _Part((field,), steps) for field, steps in getattr(spec, "parts", {}).items()}
    inside = [_Part((name, *part.path), part.steps) for part in _parts(getattr(spec, name))]
    before = own.pop("before", None)
    return [*([before] if before else []), *inside, *own.values()]


def _stages_of(spec: Spec, path: Sequence[str]) -> int:
    """Return the stages that a part of `spec` has."""
    if len(path) > 1:
        return _stages_of(getattr(spec, path[0]), path[1:])
    if isinstance(spec, StagedSpec):
        return spec.latency
    return getattr(spec, path[0]) or 1


def _set(spec: Spec, path: Sequence[str], stages: int) -> Spec:
    """Return `spec` with so many stages of one part."""
    assert is_dataclass(spec)
    name, *rest = path
    value = _set(getattr(spec, name), rest, stages) if rest else stages
    return replace(spec, **{name: value})


def staging(spec: Spec) -> Staging:
    """Return how many stages `spec` can have.

    Those of one table whose unit has steps can be chosen, also where it is inside a range
    reduction, whose own steps are cut then too, in several lanes, or writable; those of any other
    unit are what they are.
    """
    parts = tuple(_parts(spec))
    return Staging(parts, spec.latency_of(1) - sum(_stages_of(spec, part.path) for part in parts))


def with_stages(spec: Spec, stages: int) -> Spec:
    """Return `spec` with so many pipeline stages.

    Raises
    ------
    InfeasibleError
        If it cannot have so many.
    """
    able = staging(spec)
    if not able.fewest <= stages <= able.most or spec.longest:
        can = (
            "left out, as the rows set the latency," if spec.longest
            else f"{able.fewest} to {able.most}" if able.parts
            else f"{able.most}"
        )  # fmt: skip
        raise InfeasibleError(f"--stages must be {can} for this unit, not {stages}")
    for part, count in zip(able.parts, able.share(stages) if able.parts else (), strict=True):
        # One stage of what is around a table is what it has by default.
        if count > 1 or part.path[-1] == "stages":
            spec = _set(spec, part.path, count)
    return spec
