"""Where beats are inside a unit, from the names of its registers in the netlist.

In a unary unit they are in the stages of its pipeline. In a unit of rows a beat enters the row
buffer of a pass (`hw.units.row_pass`), where there are some through the stages beside the statistic
(`hw.units.elastic_pass`), and leaves through the stages ``before`` the statistic is needed, those
of ``apply``, and a skid buffer. What these names tell is asserted, not assumed: see
`stream_slots.v`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nnlut_train.errors import StepError
from sim.golden import Spec

__all__ = ["Slots", "slots_of"]

#: Wires by name, each with the numbers of its bits.
Wires = Mapping[str, tuple[int, ...]]


@dataclass
class Slots:
    """Verilog of the bench about places of beats.

    Parameters
    ----------
    width : int
        Bits of a tag: ``last``, and with several lanes ``keep`` below it.
    lines : list of str
        Declarations, and the bindings of queues.
    taps : dict of str to str
        Wires of the bench to those that they show.
    pipeline : list of str
        Of a unary unit, the wires that show the stages' valid bits, the first stage's first.
    places : int
        Bindings of places.
    count : int
        Beats that they hold at most.
    """

    width: int
    lines: list[str] = field(default_factory=list)
    taps: dict[str, str] = field(default_factory=dict)
    pipeline: list[str] = field(default_factory=list)
    places: int = 0
    count: int = 0

    def tap(self, source: str, width: int) -> str:
        """Return the bench's wire that shows `source`, of the unit."""
        name = f"tap{len(self.taps)}"
        self.lines.append(f"  wire [{width - 1}:0] {name};")
        self.taps[name] = f"dut.{source}"
        return name

    def add(self, module: str, parameters: str, pins: Mapping[str, str], count: int = 1) -> None:
        """Add a place behind those so far, for at most `count` beats."""
        at = self.places
        self.lines += [
            f"  {module} #({parameters}.WIDTH({self.width}), .BITS(BITS)) slot{at} (",
            "".join(f"    .{pin}({wire}),\n" for pin, wire in pins.items())
            + f"    .before(before[{at}]), .ahead(ahead), .tag(tag), .after(before[{at + 1}]), "
            f".wrong(wrong[{at}]));",
        ]
        self.places += 1
        self.count += count

    def text(self) -> list[str]:
        """Return the lines of a bench with `BITS`, and the wires that its other bindings show."""
        return [
            "  wire begun;", "  wire watching;", "  wire [BITS-1:0] ahead;",
            f"  wire [{self.width - 1}:0] tag;",
            f"  wire [{self.places - 1}:0] wrong;",
            f"  wire [BITS-1:0] before [{self.places}:0];", "  assign before[0] = 0;",
            *self.lines,
            f"  stream_slots #(.COUNT({self.places}), .BITS(BITS)) slots (.started(begun), "
            f".held(held), .counted(before[{self.places}]),",
            "    .watching(watching), .ahead(ahead), .wrong(wrong));",
        ]  # fmt: skip


def slots_of(spec: Spec, wires: Wires) -> Slots | None:
    """Return the places of beats; None: they are not known by their names.

    They are not where lanes take turns, or rows are of one beat.

    Parameters
    ----------
    spec : Spec
        The unit.
    wires : mapping
        Those of its flattened netlist.

    Raises
    ------
    StepError
        If the netlist is not one of a chain of passes.
    """
    passes = _passes(wires)
    plain = None if passes or spec.longest or spec.interval > 1 else _plain(wires)
    if not passes and plain is None:
        return None
    keep = spec.lanes if spec.lanes > 1 else 0
    mask = spec.lanes if getattr(spec.bare, "mask", False) else 0
    slots = Slots(1 + keep)

    def word(source: str) -> str:
        """Return the tag in a whole beat."""
        width = len(wires[source])
        wire = slots.tap(source, width)
        kept = f", {wire}[{width - 2 - mask}:{width - 1 - mask - keep}]" if keep else ""
        return f"{{{wire}[{width - 1}]{kept}}}"

    def stage(start: str) -> None:
        last = slots.tap(f"{start}_last", 1)
        kept = f", {slots.tap(f'{start}_keep', keep)}" if keep else ""
        slots.add("stage_slot", "", {"valid": slots.tap(f"{start}_valid", 1),
                                     "held": f"{{{last}{kept}}}"})  # fmt: skip

    if plain is not None:
        for number in reversed(_stages(wires, plain)):
            stage(f"{plain}s{number}")
            slots.pipeline.insert(0, slots.tap(f"{plain}s{number}_valid", 1))
        return slots
    for prefix in passes:
        if f"{prefix}result_moves" in wires:
            moves = slots.tap(f"{prefix}result_moves", 1)
            aside = word(f"{prefix}result_aside")
            slots.add("stage_slot", "", {"valid": f"!{moves}", "held": aside})
        for pipe in ("apply", "before"):
            for number in reversed(_stages(wires, f"{prefix}{pipe}_")):
                stage(f"{prefix}{pipe}_s{number}")
        _queue(slots, wires, f"{prefix}buffer.", word)
        for number in reversed(_stages(wires, f"{prefix}beside_")):
            start = f"{prefix}beside_s{number}"
            valid = slots.tap(f"{start}_valid", 1)
            slots.add("stage_slot", "", {"valid": valid, "held": word(f"{start}_beat")})
    _cut(slots, wires, passes[0])
    return slots


def _plain(wires: Wires) -> str | None:
    """Return where the pipeline of a unary unit is."""
    found = [name.removesuffix("s1_valid") for name in wires if name.endswith(".s1_valid")]
    return found[0] if len(found) == 1 else None


def _passes(wires: Wires) -> list[str]:
    """Return where passes are in the hierarchy, that of the output first."""
    end = "buffer.r_rdy"
    left = {name.removesuffix(end) for name in wires if name.endswith(f".{end}")}
    found: list[str] = []
    while left:
        # The last of those that are left leads to none of them.
        entries = [wires[f"{prefix}i__valid"] for prefix in left]
        last = [prefix for prefix in left if wires[f"{prefix}o__valid"] not in entries]
        if len(last) != 1:
            raise StepError(f"order of beats: {', '.join(sorted(left))} must be a chain")
        found += last
        left -= set(last)
    return found


def _cut(slots: Slots, wires: Wires, within: str) -> None:
    """Add that the unit counts the beats of a row as `stream_cut` does."""
    position = f"{within[:-1].rpartition('.')[0]}.position"
    if position in wires:
        width = len(wires[position])
        shown = slots.tap(position, width)
        slots.lines += [
            f"  wire [{width - 1}:0] position;",
            f"  slots_agree #(.WIDTH({width})) counts "
            f"(.started(begun), .a(position), .b({shown}));",
        ]
        slots.taps["position"] = "cut.position"


def _stages(wires: Wires, pipe: str) -> list[int]:
    found = (re.fullmatch(re.escape(pipe) + r"s(\d+)_valid", name) for name in wires)
    return sorted(int(match[1]) for match in found if match)


def _queue(slots: Slots, wires: Wires, prefix: str, word: Callable[[str], str]) -> None:
    """Add a queue: its output register, and the words of its memory."""
    offered = {"valid": slots.tap(f"{prefix}r_rdy", 1), "held": word(f"{prefix}r_data")}
    slots.add("stage_slot", "", offered)
    depth = sum(name.startswith(f"{prefix}storage[") for name in wires)
    # The names in Amaranth's SyncFIFOBuffered, and in `hw.units.queue.Queue`; what is assigned
    # beside another gets none of its own there.
    registers = {
        "level": _named(wires, prefix, r"inner_level|\$signal(\$\d+)?", depth.bit_length()),
        "consume": _named(wires, prefix, r"consume|reads__addr"),
        "produce": _named(wires, prefix, r"produce|(\$signature|writes)__addr(\$\d+)?"),
        "filled": _named(wires, prefix, "inner_r_rdy|filled"),
        "free": f"{prefix}w_rdy",
    }
    pins = {pin: slots.tap(name, len(wires[name])) for pin, name in registers.items()}
    words = [word(f"{prefix}storage[{at}]") for at in reversed(range(depth))]
    pins |= {"started": "begun", "words": f"{{{', '.join(words)}}}"}
    sizes = f".DEPTH({depth}), .SIZE({depth.bit_length() + 1}), "
    slots.add("queue_slots", sizes, pins, depth)


def _named(wires: Wires, prefix: str, pattern: str, width: int = 0) -> str:
    """Return the one wire of a queue with that name, and width."""
    found = [
        name for name, bits in wires.items()
        if name.startswith(prefix) and re.fullmatch(pattern, name[len(prefix) :])
        and len(bits) in (width or len(bits),)
    ]  # fmt: skip
    if len(found) != 1:
        raise StepError(f"order of beats: {prefix[:-1]} must have one {pattern}, not {len(found)}")
    return found[0]
