"""A unit and the same unit with a fault as one circuit, to ask whether they can be told apart.

Registers that the fault cannot reach are there once, so most of the two is one circuit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from hw.prove.circuit import Circuit
from hw.prove.graph import FALSE, TRUE, Graph

from .plant import CONTROL, CONTROL_BITS

__all__ = ["chosen", "product"]

#: What is driven from outside: where it is offered, where it is taken, what is held meanwhile.
SOURCES = (
    ("s_axis_tvalid", "s_axis_tready", ("s_axis_tdata", "s_axis_tkeep", "s_axis_tuser",
                                        "s_axis_tlast")),
    ("s_axil_awvalid", "s_axil_awready", ("s_axil_awaddr", "s_axil_awprot")),
    ("s_axil_wvalid", "s_axil_wready", ("s_axil_wdata", "s_axil_wstrb")),
    ("s_axil_arvalid", "s_axil_arready", ("s_axil_araddr", "s_axil_arprot")),
)  # fmt: skip
#: What must always be the same.
ALWAYS = ("s_axis_tready", "m_axis_tvalid", "overlong", "holes", "s_axil_awready",
          "s_axil_wready", "s_axil_bvalid", "s_axil_arready", "s_axil_rvalid")  # fmt: skip
#: What must be the same while another output is high.
OFFERED = {
    "m_axis_tvalid": ("m_axis_tlast", "m_axis_tkeep"), "s_axil_bvalid": ("s_axil_bresp",),
    "s_axil_rvalid": ("s_axil_rresp",),
}  # fmt: skip

_Ports = dict[str, list[int]]


def product(circuit: Circuit, number: int, *, results: bool = True) -> bytes | None:
    """Return a circuit whose output says that a fault shows, in binary AIGER.

    It begins with a clock of reset, before which all registers are 0; then inputs are anything that
    AXI allows (what is offered is held until it is taken), resets among them. The fault shows where
    a handshake or a flag differs, or while something is offered, its contents: data only of bytes
    that are kept, and of reads that are not refused.

    Parameters
    ----------
    circuit : Circuit
        The unit with the input `CONTROL`.
    number : int
        Its value of the fault.
    results : bool
        Whether a fault shows in ``m_axis_tdata``, too.

    Returns
    -------
    bytes or None
        None where it cannot show, whatever the registers hold: nothing is left to be proved.
    """
    graph = Graph()
    begun = graph.variable("begun")
    #: What each register of the product takes next.
    following: dict[int, int] = {begun: TRUE}
    inputs, held = _inputs(graph, circuit, begun)
    state = [graph.variable(register.label) for register in circuit.registers]
    outputs, after = graph.step(circuit, inputs | {CONTROL: [FALSE] * CONTROL_BITS}, state)
    for valid, ready, kept in held:
        waiting = graph.all([begun, *inputs[valid], outputs[ready][0] ^ 1])
        (flag,) = kept[valid]
        following[flag] = graph.all([waiting, *inputs["aresetn"]])
        for name, copies in kept.items():
            if name != valid:
                following |= dict(zip(copies, inputs[name], strict=True))
    chosen = {CONTROL: [number >> bit & 1 for bit in range(CONTROL_BITS)]}
    faulty = list(state)
    while True:
        found, later = graph.step(circuit, inputs | chosen, faulty)
        reached = [index for index, (one, other) in enumerate(zip(after, later, strict=True))
                   if one != other and faulty[index] == state[index]]  # fmt: skip
        if not reached:
            break
        for index in reached:
            faulty[index] = graph.variable(f"faulty {circuit.registers[index].label}")
    following |= dict(zip(state, after, strict=True))
    following |= {mine: next_ for mine, sound, next_ in zip(faulty, state, later, strict=True)
                  if mine != sound}  # fmt: skip
    shows = graph.all([begun, _differ(graph, outputs, found, results)])
    return None if shows == FALSE else _aiger(graph, following, shows)


def chosen(circuit: Circuit, number: int) -> Circuit:
    """Return the circuit with a fault, without the input that chooses it."""
    fixed: dict[int, int] = {}
    for bit, literal in enumerate(circuit.inputs[CONTROL]):
        value = number >> bit & 1
        fixed |= {literal: value, literal ^ 1: value ^ 1}

    def of(literal: int) -> int:
        return fixed.get(literal, literal)

    return Circuit(
        {name: bits for name, bits in circuit.inputs.items() if name != CONTROL},
        {name: [of(literal) for literal in bits] for name, bits in circuit.outputs.items()},
        tuple(replace(register, following=of(register.following))
              for register in circuit.registers),
        {name: of(literal) for name, literal in circuit.signals.items()},
        tuple((gate, of(left), of(right)) for gate, left, right in circuit.ands),
    )  # fmt: skip


def _inputs(
    graph: Graph, circuit: Circuit, begun: int
) -> tuple[_Ports, list[tuple[str, str, _Ports]]]:
    """Return what drives the inputs; and of each source its ports, and registers that hold them."""
    inputs = {name: graph.variables(name, len(bits)) for name, bits in circuit.inputs.items()
              if name not in (CONTROL, "aclk")}  # fmt: skip
    inputs["aresetn"] = [graph.all([*inputs["aresetn"], begun])]
    held = []
    for valid, ready, contents in SOURCES:
        if valid not in inputs:
            continue
        kept = {name: graph.variables(f"held {name}", len(inputs[name]))
                for name in (valid, *contents) if name in inputs}  # fmt: skip
        (waiting,) = kept[valid]
        for name, copies in kept.items():
            inputs[name] = [
                graph.any([graph.all([waiting, copy]), graph.all([waiting ^ 1, new])])
                for copy, new in zip(copies, inputs[name], strict=True)
            ]
        inputs[valid] = [graph.any([waiting, *inputs[valid]])]
        held.append((valid, ready, kept))
    return inputs, held


def _differ(
    graph: Graph, sound: Mapping[str, Sequence[int]], faulty: Mapping[str, Sequence[int]],
    results: bool,
) -> int:  # fmt: skip
    def port(name: str) -> list[int]:
        if name not in sound:
            return []
        return [graph.differ(*bits) for bits in zip(sound[name], faulty[name], strict=True)]

    found = [bit for name in ALWAYS for bit in port(name)]
    for valid, names in OFFERED.items():
        if valid in sound:
            found.append(graph.all([*sound[valid], graph.any(b for n in names for b in port(n))]))
    data = port("m_axis_tdata") if results else []
    keep = sound.get("m_axis_tkeep", [TRUE] * (len(data) // 8))
    found += [graph.all([*sound["m_axis_tvalid"], keep[bit // 8], differs])
              for bit, differs in enumerate(data)]  # fmt: skip
    if "s_axil_rdata" in sound:
        refused = graph.any(sound["s_axil_rresp"])
        word = graph.any(port("s_axil_rdata"))
        found.append(graph.all([*sound["s_axil_rvalid"], refused ^ 1, word]))
    return graph.any(found)


def _aiger(graph: Graph, following: Mapping[int, int], output: int) -> bytes:
    """Return what `output` depends on, clock after clock; registers begin with 0."""
    needed: set[int] = set()
    wanted: Iterable[int] = [output]
    while True:
        numbers = graph.cone(wanted)
        more = {2 * number for number in numbers if 2 * number in following} - needed
        if not more:
            break
        needed |= more
        wanted = [output, *(following[register] for register in sorted(needed))]
    free = [n for n in numbers if graph.gate(n) is None and 2 * n not in needed]
    registers = sorted(needed)
    gates = [n for n in numbers if graph.gate(n) is not None]
    order = [0, *free, *(register >> 1 for register in registers), *gates]
    new = {number: 2 * index for index, number in enumerate(order)}

    def of(literal: int) -> int:
        return new[literal >> 1] | literal & 1

    lines = [f"aig {len(order) - 1} {len(free)} {len(registers)} 1 {len(gates)}"]
    lines += [str(of(following[register])) for register in registers]
    data = bytearray("\n".join([*lines, str(of(output)), ""]).encode())
    for number in gates:
        inputs = graph.gate(number)
        assert inputs is not None
        high, low = sorted(map(of, inputs), reverse=True)
        for delta in (new[number] - high, high - low):
            while delta >= 128:
                data.append(delta & 127 | 128)
                delta >>= 7
            data.append(delta)
    return bytes(data)
