"""What synthesis, simulation and timing must know of single cells: pins, flip-flops, units.

`hw.liberty` finds the cells of a file and their areas; here are the groups inside them.
"""

import functools
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from nnlut_train.errors import UsageError

from .liberty import Library, text_of

__all__ = [
    "Detail",
    "FlipFlop",
    "Pin",
    "capacitance_unit_ff",
    "cell_text",
    "details",
    "has_timing",
    "pin_text",
    "reduced",
    "scaled_pin",
    "time_unit_ps",
]

_HEAD = re.compile(r"\b(\w+)\s*\(([^(){};]*)\)\s*\{")
_BRACE = re.compile(r"[{}]")
_STATEMENT = re.compile(r"\b(\w+)\s*:\s*(?:\"([^\"]*)\"|([^;\"\n]+?))\s*(?:;|$)", re.MULTILINE)
_TIME_UNIT = re.compile(r"\btime_unit\s*:\s*\"?\s*([\d.]+)\s*([fpnu]?)s")
_CAPACITANCE = re.compile(
    r"\bcapacitive_load_unit\s*\(\s*\"?([\d.]+)\"?\s*,\s*\"?([fp])f", re.IGNORECASE
)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_VALUES = re.compile(r"(\bvalues\s*)(\([^)]*\))")
_CAPACITANCES = re.compile(r"(\b(?:rise_|fall_)?capacitance(?:_range)?\s*)([:(][^;)\n]*)")
_PICOSECONDS = {"f": 1e-3, "p": 1.0, "n": 1e3, "u": 1e6, "": 1e12}


@dataclass(frozen=True)
class Pin:
    """A pin; capacitances are in the library's unit, 0 where it tells none."""

    direction: str
    function: str = ""
    capacitance: float = 0.0
    clock: bool = False
    max_capacitance: float = 0.0


@dataclass(frozen=True)
class FlipFlop:
    """The statements of an ``ff`` group, and the two names of its state."""

    names: tuple[str, ...]
    statements: dict[str, str]


@dataclass(frozen=True)
class Detail:
    """A cell: pins by name, its flip-flop if it is a single one, its own simple statements.

    `roles` has the statements of each pin that are ``true``, such as ``clock_gate_out_pin``.
    """

    pins: dict[str, Pin]
    flip_flop: FlipFlop | None
    statements: dict[str, str]
    roles: dict[str, frozenset[str]]

    @property
    def clock(self) -> str | None:
        """Name of the flip-flop's clock pin."""
        clock = self.flip_flop and self.flip_flop.statements.get("clocked_on")
        return clock if clock in self.pins else None

    @property
    def inputs(self) -> list[str]:
        """Names of the input pins."""
        return [name for name, pin in self.pins.items() if pin.direction == "input"]

    @property
    def outputs(self) -> list[str]:
        """Names of the output pins."""
        return [name for name, pin in self.pins.items() if pin.direction == "output"]


def _groups(text: str) -> Iterator[tuple[str, list[str], int, int, int]]:
    """Yield keyword, arguments, start, start of the body and end of the groups at the top."""
    at = 0
    while (head := _HEAD.search(text, at)) is not None:
        depth, at = 1, head.end()
        while depth:
            brace = _BRACE.search(text, at)
            if brace is None:
                return
            depth += 1 if brace[0] == "{" else -1
            at = brace.end()
        arguments = [part.strip(' "\n\t') for part in head[2].split(",")]
        yield head[1], arguments, head.start(), head.end(), at


def _statements(text: str) -> dict[str, str]:
    """Return the simple statements of a group's body, without those of the groups in it."""
    parts, at = [], 0
    for _, _, start, _, end in _groups(text):
        parts.append(text[at:start])
        at = end
    parts.append(text[at:])
    return {
        name: (quoted or plain).strip()
        for name, quoted, plain in _STATEMENT.findall(" ".join(parts))
    }


def _cells(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Yield name, start, start of the body and end of each cell of a library's text."""
    for keyword, _, _, body, end in _groups(text):
        if keyword == "library":
            for inner, names, start, inside, after in _groups(text[body : end - 1]):
                if inner == "cell":
                    yield names[0], body + start, body + inside, body + after


@functools.lru_cache(maxsize=8)
def _details(library: Library) -> dict[str, Detail]:
    text = text_of(library)
    found = {}
    for name, _, body, end in _cells(text):
        try:
            found[name] = _detail(text[body : end - 1])
        except ValueError as error:
            raise UsageError(
                f"{library.file}: the cell {name} must have numbers: {error}"
            ) from error
    return found


def details(libraries: Sequence[Library], names: Collection[str]) -> dict[str, Detail]:
    """Return the details of the cells called `names`, as far as the libraries have them."""
    return {name: detail for library in libraries for name, detail in _details(library).items()
            if name in names}  # fmt: skip


def _detail(text: str) -> Detail:
    pins: dict[str, Pin] = {}
    roles: dict[str, frozenset[str]] = {}
    flip_flops = []
    for keyword, names, _, body, end in _groups(text):
        if keyword == "pin":
            found = _statements(text[body : end - 1])
            pin = Pin(
                found.get("direction", ""), found.get("function", ""),
                float(found.get("capacitance", 0.0)), found.get("clock") == "true",
                float(found.get("max_capacitance", 0.0)),
            )  # fmt: skip
            pins.update((name, pin) for name in names)
            true = frozenset(key for key, value in found.items() if value == "true")
            roles.update((name, true) for name in names)
        elif keyword == "ff":
            flip_flops.append(FlipFlop(tuple(names), _statements(text[body : end - 1])))
    flip_flop = flip_flops[0] if len(flip_flops) == 1 else None
    return Detail(pins, flip_flop, _statements(text), roles)


def time_unit_ps(library: Library) -> float:
    """Return the unit of time of a library in picoseconds; 1 ns where it tells none.

    Raises
    ------
    UsageError
        If the unit is 0.
    """
    unit = _TIME_UNIT.search(text_of(library))
    if unit is None:
        return 1e3
    return _positive(unit[1], f"{library.file} must have a time_unit") * _PICOSECONDS[unit[2]]


def _positive(text: str, what: str) -> float:
    """Return a number; raise UsageError unless it is above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise UsageError(f"{what} above 0, not {text:.40}")
    return number


def pin_text(library: Library, cell: str, pin: str, keyword: str) -> str:
    """Return the text of the groups called `keyword` of a pin of a cell."""
    text = text_of(library)
    found = []
    for name, _, body, end in _cells(text):
        if name == cell:
            inside = text[body : end - 1]
            for kind, names, _, start, after in _groups(inside):
                if kind == "pin" and pin in names:
                    groups = inside[start : after - 1]
                    found += [groups[begin:stop] for group, _, begin, _, stop in _groups(groups)
                              if group == keyword]  # fmt: skip
    return "\n".join(found)


def cell_text(text: str, cell: str) -> str:
    """Return the text of a cell of a library's text, with its braces."""
    return next(text[start:end] for name, start, _, end in _cells(text) if name == cell)


def scaled_pin(text: str, cell: str, name: str, pin: str, factor: float) -> str:
    """Return the text of a cell under another name, with energy and capacitance of a pin scaled."""
    body = text.index("{") + 1
    head = text[:body].replace(cell, name, 1)
    parts, at = [], body
    for keyword, names, _, start, end in _groups(text[body:-1]):
        if keyword == "pin" and pin in names:
            parts += [text[at : body + start], _scaled(text[body + start : body + end], factor)]
            at = body + end
    return "".join([head, *parts, text[at:], "\n"])


def _scaled(pin: str, factor: float) -> str:
    def number(found: re.Match[str]) -> str:
        return f"{float(found[0]) * factor:.9g}"

    def numbers(found: re.Match[str]) -> str:
        return found[1] + _NUMBER.sub(number, found[2])

    parts, at = [], 0
    for keyword, _, _, start, end in _groups(pin):
        parts.append(_CAPACITANCES.sub(numbers, pin[at:start]))
        inside = pin[start:end]
        parts.append(_VALUES.sub(numbers, inside) if keyword == "internal_power" else inside)
        at = end
    return "".join([*parts, _CAPACITANCES.sub(numbers, pin[at:])])


def capacitance_unit_ff(library: Library) -> float:
    """Return the unit of capacitance of a library in femtofarads.

    Raises
    ------
    UsageError
        If the library tells none.
    """
    unit = _CAPACITANCE.search(text_of(library))
    if unit is None:
        raise UsageError(f"{library.file} must have a capacitive_load_unit in ff or pf")
    number = _positive(unit[1], f"{library.file} must have a capacitive_load_unit")
    return number * (1.0 if unit[2].lower() == "f" else 1e3)


def has_timing(libraries: Sequence[Library]) -> bool:
    """Whether the libraries have delays."""
    return all(re.search(r"\btiming\s*\(", text_of(library)) for library in libraries
               if library.has_flip_flop)  # fmt: skip


def reduced(library: Library, names: Collection[str], *, power: bool = False) -> str:
    """Return the text of a library with only the cells called `names`; nothing if it has none.

    Parameters
    ----------
    library : Library
        The library.
    names : collection of str
        The cells to keep.
    power : bool
        Drop the ``internal_power`` groups that hold in no stated case from pins whose other ones
        state cases (``when``): they are what is left over, yet OpenSTA adds them to the others.
    """
    text = text_of(library)
    if not set(names) & library.cells.keys():
        return ""
    parts, at = [], 0
    for name, start, body, end in _cells(text):
        parts.append(text[at:start])
        if name in names:
            inside = text[body : end - 1]
            parts += [text[start:body], _without_defaults(inside) if power else inside, "}\n"]
        at = end
    return "".join([*parts, text[at:]])


def _without_defaults(cell: str) -> str:
    parts, at = [], 0
    for keyword, _, _, body, end in _groups(cell):
        if keyword == "pin":
            parts += [cell[at:body], _pin_without_defaults(cell[body : end - 1]), "}"]
            at = end
    return "".join([*parts, cell[at:]])


def _pin_without_defaults(pin: str) -> str:
    groups = []
    for keyword, _, start, body, end in _groups(pin):
        if keyword == "internal_power":
            found = _statements(pin[body : end - 1])
            related = found.get("related_pin"), found.get("related_pg_pin")
            groups.append((related, "when" in found, start, end))
    conditional = {related for related, when, _, _ in groups if when}
    parts, at = [], 0
    for related, when, start, end in groups:
        if related in conditional and not when:
            parts.append(pin[at:start])
            at = end
    return "".join([*parts, pin[at:]])
