"""A waveform of the first rows, as the build's own simulation recorded it."""

from collections.abc import Sequence

from sim.bench import Clock
from sim.golden import Spec

from .elements import Markup
from .svg import Drawing, short

__all__ = ["LANES", "shown", "waveform"]

#: Pixels: names at the left, a clock, a gap between clocks, a signal and its height.
NAMES, CLOCK, GAP, PITCH, HEIGHT = 138, 46, 28, 30, 18
#: Most lanes whose codes are shown.
LANES = 4


def shown(trace: Sequence[Clock]) -> list[list[int]]:
    """Return the clocks that are shown, in stretches: both streams' first beats and row ends."""
    arrives = [n for n, clock in enumerate(trace) if clock.i_valid and clock.i_ready]
    leaves = [n for n, clock in enumerate(trace) if clock.o_valid and clock.o_ready]
    if not arrives or not leaves:
        return []
    in_end = next((n for n in arrives if trace[n].i_beat.last), arrives[-1])
    out_end = next((n for n in leaves if trace[n].o_beat.last), leaves[-1])
    wanted = set(range(arrives[0] - 1, arrives[0] + 5))
    wanted |= set(range(in_end - 1, in_end + 2))
    wanted |= set(range(leaves[0] - 2, leaves[0] + 5))
    wanted |= set(range(out_end - 1, out_end + 2))
    kept = sorted(n for n in wanted if 0 <= n < len(trace))
    stretches: list[list[int]] = []
    for n in kept:
        # A gap of one clock takes as much room as the clock.
        if stretches and n - stretches[-1][-1] <= 2:
            stretches[-1] += range(stretches[-1][-1] + 1, n + 1)
        else:
            stretches.append([n])
    return stretches


def _rows(spec: Spec) -> list[tuple[str, str, int]]:
    """Return the signals: name, what it is, and lane."""
    lanes = min(spec.lanes, LANES)
    found = [("aclk", "clk", 0)]
    for side, prefix in (("i", "s_axis"), ("o", "m_axis")):
        found += [
            (f"{prefix}_tvalid", f"{side}_valid", 0),
            (f"{prefix}_tready", f"{side}_ready", 0),
        ]
        for lane in range(lanes):
            name = f"{prefix}_tdata" if spec.lanes == 1 else f"{prefix}_tdata, lane {lane}"
            found.append((name, f"{side}_code", lane))
        if spec.lanes > 1:
            found.append((f"{prefix}_tkeep, lanes", f"{side}_keep", 0))
        if side == "i" and spec.user_bits:
            found.append((f"{prefix}_tuser", "i_user", 0))
        found.append((f"{prefix}_tlast", f"{side}_last", 0))
    return found


def _value(clock: Clock, what: str, lane: int, users: int) -> int | str | None:
    """Return what a signal has in a clock; None where no beat says it.

    Of masks, `users` is their number: they are shown bit by bit.
    """
    side, field = what.split("_")
    valid, beat = (
        (clock.i_valid, clock.i_beat) if side == "i" else (clock.o_valid, clock.o_beat)
    )  # fmt: skip
    if field in ("valid", "ready"):
        return int(getattr(clock, what))
    if not valid:
        return 0 if field == "last" else None
    if field == "last":
        return int(beat.last)
    if field == "keep":
        return "".join(str(int(code is not None)) for code in reversed(beat.codes))
    if field == "user":
        return f"{beat.user:0{users}b}" if users else str(beat.user)
    code = beat.codes[lane]
    return "no element" if code is None else str(code).replace("-", "\u2212")


def waveform(name: str, spec: Spec, trace: Sequence[Clock]) -> Markup:
    """Return the waveform of a recording.

    Parameters
    ----------
    name : str
        Of the drawing, unique on the page.
    spec : Spec
        The unit.
    trace : sequence of Clock
        What was recorded.
    """
    stretches, rows = shown(trace), _rows(spec)
    clocks = sum(map(len, stretches))
    width = NAMES + CLOCK * clocks + GAP * (len(stretches) - 1) + 8
    height = 26 + PITCH * len(rows)
    drawing = Drawing(
        name, width, height, "Waveform of the first rows",
        "Clock, and the handshake, data and last signals of both streams, clock by clock, as "
        "recorded in simulation; clocks in which nothing begins or ends are left out.",
        fixed=True,
    )  # fmt: skip
    for at, (label, _, _) in enumerate(rows):
        drawing.text(0, 26 + PITCH * at + 13, label)
    left = float(NAMES)
    for number, stretch in enumerate(stretches):
        if number:
            drawing.text(left - GAP / 2, 14, "\u22ef", "soft middle")
            drawing.line(left - GAP / 2, 20, left - GAP / 2, height - 4, "limit")
        for position, n in enumerate(stretch):
            x = left + CLOCK * position
            drawing.line(x, 20, x, height - 6)
            drawing.text(x + CLOCK / 2, 14, n, "soft small middle")
        for at, (_, what, lane) in enumerate(rows):
            y = 26.0 + PITCH * at
            if what == "clk":
                half = CLOCK / 2
                edge = f"v{-HEIGHT}h{short(half)}v{HEIGHT}h{short(half)}"
                drawing.path(f"M{short(left)} {short(y + HEIGHT)}{edge * len(stretch)}", "signal")
                continue
            values = [_value(trace[n], what, lane, spec.lanes * spec.mask) for n in stretch]
            if what.endswith(("valid", "ready", "last")):
                _bit(drawing, left, y, [int(value or 0) for value in values])
            else:
                _bus(drawing, left, y, values)
        left += CLOCK * len(stretch) + GAP
    return drawing.render()


def _bit(drawing: Drawing, left: float, y: float, values: list[int]) -> None:
    points = []
    for at, value in enumerate(values):
        level = y + (2 if value else HEIGHT)
        points += [(left + CLOCK * at, level), (left + CLOCK * (at + 1), level)]
    drawing.path(points, "signal")


def _bus(drawing: Drawing, left: float, y: float, values: list[int | str | None]) -> None:
    """Draw values as boxes; what no beat says is a line in the middle."""
    for at, value in enumerate(values):
        x = left + CLOCK * at
        if value is None:
            drawing.line(x, y + HEIGHT / 2 + 1, x + CLOCK, y + HEIGHT / 2 + 1)
            continue
        drawing.rect(x + 1, y, CLOCK - 2, HEIGHT + 1, "busy", round_=3)
        text = "\u2013" if value == "no element" else value
        drawing.text(x + CLOCK / 2, y + 13.5, text, "small middle")
