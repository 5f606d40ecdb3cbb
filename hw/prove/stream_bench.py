"""The Verilog that binds the properties of `stream.v` to a unit's ports."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from sim.golden import Spec, WritableSpec

from ..axi import data_bytes, ports
from .stream_slots import Slots

__all__ = ["LEMMAS", "SHOWN", "answer", "answer_of", "held", "order", "properties"]

#: What is held with the valid of a stream, and of each channel of AXI4-Lite.
STREAM = ("data", "keep", "user", "last")
LITE = {"aw": ("addr", "prot"), "w": ("data", "strb"), "ar": ("addr", "prot"),
        "b": ("resp",), "r": ("data", "resp")}  # fmt: skip


@cache
def properties() -> str:
    """Return the text of `stream.v` and `stream_slots.v`."""
    folder = files(__package__)
    return "".join(folder.joinpath(name).read_text(encoding="utf-8")
                   for name in ("stream.v", "stream_slots.v"))  # fmt: skip


def _binding(module: str, name: str, parameters: dict[str, int], **wires: str) -> str:
    values = ", ".join(f".{key}({value})" for key, value in parameters.items())
    pins = ", ".join(f".{pin}({wire})" for pin, wire in wires.items())
    return f"  {module} #({values}) {name} (.clk(aclk), .resetn(aresetn), {pins});"


def answer_of(spec: Spec) -> int:
    """Return the clocks from a row's last beat (of a unary unit, from a beat) to a result."""
    if not spec.longest:
        return spec.latency_of(1)
    lengths = range(1, spec.beats(spec.longest) + 1)
    return max(spec.latency_of(n * spec.lanes) - (n - 1) for n in lengths)


def _concat(parts: Sequence[str]) -> str:
    return "{" + ", ".join(parts) + "}"


def held(spec: Spec, module: str) -> str:
    """Return the bench about what is held while it is not taken, and about AXI4-Lite."""
    wires = _Wires(spec, module)
    body = [*wires.head(), wires.held("m_axis_t", STREAM)]
    if isinstance(spec, WritableSpec):
        body += [wires.held(f"s_axil_{channel}", LITE[channel]) for channel in "br"]
        taken = {channel: f"s_axil_{channel}valid && s_axil_{channel}ready"
                 for channel in ("aw", "w", "ar")}  # fmt: skip
        sides = {f"{channel}_{side}": f"s_axil_{channel}{side}"
                 for channel in "br" for side in ("valid", "ready")}  # fmt: skip
        body.append(_binding("lite_responses", "responses", {"BOUND": 1}, **taken, **sides))
    return _module(body)


def order(
    spec: Spec, module: str, capacity: int, slots: Slots | None = None, *, timely: bool = False
) -> str:
    """Return the bench about the order of beats.

    Parameters
    ----------
    spec : Spec
        The unit.
    module : str
        Name of its Verilog module.
    capacity : int
        Beats that are inside at most.
    slots : Slots, optional
        Where beats are inside: makes the order inductive.
    timely : bool
        Of a unary unit, with `answer`'s assertion: where beats are makes that inductive, too.
    """
    last, body = _last(spec)
    bits = (capacity + 1).bit_length()
    i_tag, o_tag, width = [last], ["m_axis_tlast"], 1
    if spec.lanes > 1:
        # Of each lane all bytes are kept where all of the argument's are, else none.
        read, written = data_bytes(spec.input), data_bytes(spec.output)
        i_tag += [f"&s_axis_tkeep[{lane * read} +: {read}]"
                  for lane in reversed(range(spec.lanes))]  # fmt: skip
        o_tag += [f"m_axis_tkeep[{lane * written}]" for lane in reversed(range(spec.lanes))]
        width += spec.lanes
        if written > 1:
            body += [f"  always @* if (m_axis_tvalid) lane{lane}_whole: assert(m_axis_tkeep"
                     f"[{lane * written} +: {written}] == {{{written}{{m_axis_tkeep"
                     f"[{lane * written}]}}}});" for lane in range(spec.lanes)]  # fmt: skip
    body += [
        f"  wire [{bits - 1}:0] held;",
        _binding("stream_order", "order", {"WIDTH": width, "BITS": bits, "CAPACITY": capacity},
                 i_valid="s_axis_tvalid", i_ready="s_axis_tready", i_tag=_concat(i_tag),
                 o_valid="m_axis_tvalid", o_ready="m_axis_tready", o_tag=_concat(o_tag),
                 held="held"),
    ]  # fmt: skip
    if slots is not None:
        body += [f"  localparam BITS = {bits};", *slots.text()]
    if timely and slots is not None:
        bound = answer_of(spec)
        width = (bound + 1).bit_length()
        body += [
            _progress(bound, "begun && held"), f"  wire [{width - 1}:0] clocks;",
            f"  stream_nears #(.COUNT({slots.count}), .BITS({width})) nears "
            f"(.valid({_concat(slots.pipeline)}), .clocks(clocks));",
        ]  # fmt: skip
    return _module([*_Wires(spec, module).head(), *body])


#: What a bench with slots shows of its other bindings.
SHOWN = {"begun": "order.started", "watching": "order.watching", "ahead": "order.ahead",
         "tag": "order.tag", "clocks": "answer.clocks"}  # fmt: skip


#: Of a bench with slots for rows: what is inductive before the order is, as Yosys selects it. The
#: solver is ten times as fast, and more, with each group on its own.
LEMMAS = (
    "c:slot*.in_range c:slot*.flags c:slot*.level_of_pointers",
    "c:slots.all_counted c:order.none_invented c:order.within_capacity",
    "c:counts.* c:slots.watched_inside",
    "c:slots.watched_in_place",
)


def answer(spec: Spec, module: str, capacity: int) -> str:
    """Return the bench about when results are offered: see `answer_of`."""
    last, body = _last(spec)
    bits = (capacity + 1).bit_length()
    body += [
        f"  wire [{bits - 1}:0] rows;",
        _binding("stream_rows", "counted", {"BITS": bits}, enters="enters", leaves="leaves",
                 i_last=last if spec.longest else "1'b1",
                 o_last="m_axis_tlast" if spec.longest else "1'b1", held="rows"),
        _progress(answer_of(spec), "rows"),
    ]  # fmt: skip
    return _module([*_Wires(spec, module).head(), *body])


def _progress(bound: int, inside: str) -> str:
    return _binding(
        "stream_progress", "answer", {"BITS": (bound + 1).bit_length(), "BOUND": bound},
        waits=f"{inside} != 0 && !m_axis_tvalid",
    )  # fmt: skip


class _Wires:
    """The ports of a unit in its bench: inputs are inputs, outputs are wires."""

    def __init__(self, spec: Spec, module: str) -> None:
        self.spec, self.module, self.ports = spec, module, ports(spec)
        self.widths = {port.name: port.width for port in self.ports}

    def head(self) -> list[str]:
        """Return the declarations, the unit, and what its surroundings promise."""
        inputs = [f"  input [{p.width - 1}:0] {p.name}" for p in self.ports
                  if p.direction == "input"]  # fmt: skip
        outputs = [f"  wire [{p.width - 1}:0] {p.name};" for p in self.ports
                   if p.direction != "input"]  # fmt: skip
        pins = ", ".join(f".{name}({name})" for name in self.widths)
        lines = ["module bench (", ",\n".join(inputs), ");", *outputs,
                 f"  {self.module} dut ({pins});",
                 "  reg running = 0;", "  always @(posedge aclk) running <= 1;",
                 "  always @* if (!running) assume(!aresetn);",
                 self.held("s_axis_t", STREAM, assumed=1)]  # fmt: skip
        if isinstance(self.spec, WritableSpec):
            lines += [self.held(f"s_axil_{channel}", LITE[channel], assumed=1)
                      for channel in ("aw", "w", "ar")]  # fmt: skip
        return lines

    def held(self, side: str, fields: Sequence[str], assumed: int = 0) -> str:
        """Return the binding of `stream_held` to one channel."""
        payload = [f"{side}{field}" for field in fields if f"{side}{field}" in self.widths]
        width = sum(self.widths[name] for name in payload)
        return _binding(
            "stream_held", f"{side}held", {"WIDTH": width, "ASSUMED": assumed},
            valid=f"{side}valid", ready=f"{side}ready", payload=_concat(payload),
        )  # fmt: skip


def _module(body: list[str]) -> str:
    return "\n".join(body) + "\nendmodule\n"


def _last(spec: Spec) -> tuple[str, list[str]]:
    """Return which wire ends a row that enters, and the declarations of that and of moves."""
    body = ["  wire enters = s_axis_tvalid && s_axis_tready;",
            "  wire leaves = m_axis_tvalid && m_axis_tready;"]  # fmt: skip
    if not spec.longest:
        return "s_axis_tlast", body
    beats = spec.beats(spec.longest)
    sizes = {"BITS": max(1, (beats - 1).bit_length()), "BEATS": beats}
    body += ["  wire i_last;", _binding("stream_cut", "cut", sizes, enters="enters",
                                        tlast="s_axis_tlast", last="i_last")]  # fmt: skip
    return "i_last", body
