"""Block diagrams: blocks in rows from the input down to the output, wires, and registers.

A `Diagram` is built as a `hw.pipeline.Pipe` is: blocks take wires and give wires, `cut` ends a
stage. The layout is that of layered graphs (Sugiyama, Tagawa & Toda, 1981): a wire that passes a
row has a place of its own there.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field

from .elements import Markup
from .svg import Drawing

__all__ = ["Diagram", "Node", "Wire"]

WIDTH, GAP, SLOT, WIDEST = 420.0, 12.0, 30.0, 190.0


@dataclass(eq=False)
class Node:
    """A block, or the place where a wire passes a row.

    Parameters
    ----------
    title, details : str, tuple of str
        Its text; a place of a wire has none.
    kind : str
        ``block``, ``memory`` or ``port``; ``pass`` for a place of a wire.
    row : int
        Row, from the top.
    inputs : list of Wire
        What enters.
    """

    title: str
    details: tuple[str, ...]
    kind: str
    row: int
    inputs: list["Wire"] = field(default_factory=list)
    x: float = 0.0
    width: float = 0.0


@dataclass(eq=False)
class Wire:
    """What leaves a node.

    Parameters
    ----------
    source : Node
        The node.
    label : str
        Name and bits.
    """

    source: Node
    label: str
    x: float = 0.0


@dataclass(frozen=True)
class _Edge:
    """A line across a row: the wire of which it is, and how many registers are there."""

    label: str
    clocks: int


class Diagram:
    """A block diagram under construction."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        #: Where the contents of written tables come from.
        self.registers: Wire | None = None
        #: Pipeline stages so far.
        self.stage = 0
        #: Kinds of specifications that were drawn as a plain box.
        self.plain: list[str] = []
        #: For each cut the clocks that it ends, first and last, and its blocks' texts.
        self.steps: list[tuple[int, int, list[str]]] = []
        self._edges: dict[int, _Edge] = {}
        self._floor = 0

    def mark(self) -> "Diagram":
        """Return what `back` needs to forget all that comes."""
        kept = copy(self)
        for name in ("nodes", "plain", "steps", "_edges"):
            setattr(kept, name, copy(getattr(self, name)))
        return kept

    def back(self, mark: "Diagram") -> None:
        """Forget all that came since `mark`."""
        self.__dict__.update(mark.__dict__)

    def block(
        self, title: str, *details: str, wires: Sequence[Wire] = (), kind: str = "block",
        out: str = "",
    ) -> Wire:  # fmt: skip
        """Add a block of the present stage below all that enters it.

        Parameters
        ----------
        title, *details : str
            Its text.
        wires : sequence of Wire
            What enters.
        kind : str
            ``block``, ``memory`` or ``port``.
        out : str
            What leaves it: the wire's label.
        """
        row = max([self._floor, *(wire.source.row + 1 for wire in wires)])
        node = Node(title, tuple(each for each in details if each), kind, row, list(wires))
        self.nodes.append(node)
        return Wire(node, out)

    def more(self, wire: Wire, label: str) -> Wire:
        """Return another wire from the same block."""
        return Wire(wire.source, label)

    def cut(self, clocks: int = 1, what: str = "") -> None:
        """End the stage by a register, or by so many."""
        if clocks < 1:
            return
        self.stage += clocks
        last = max(node.row for node in self.nodes)
        self.steps.append((self.stage - clocks + 1, self.stage, [
            ", ".join((node.title, *node.details)) for node in self.nodes
            if node.row >= self._floor and node.kind != "port"
        ]))  # fmt: skip
        plural = f"{clocks} registers" if clocks > 1 else "register"
        first = f"{self.stage - clocks + 1} to " if clocks > 1 else ""
        self._edges[last] = _Edge(what or f"{plural} {first}{self.stage}", clocks)
        self._floor = last + 1

    def divide(self, label: str) -> None:
        """Begin another part of a unit, in which registers are not drawn."""
        last = max(node.row for node in self.nodes)
        self._edges[last] = _Edge(label, 0)
        self._floor = last + 1

    def render(self, name: str, title: str, description: str) -> Markup:
        """Return the drawing."""
        rows = self._rows()
        self._place(rows)
        return _draw(rows, self._edges, name, title, description)

    def _rows(self) -> list[list[Node]]:
        """Return the rows, with a place for each wire that passes one."""
        rows: list[list[Node]] = [[] for _ in range(max(node.row for node in self.nodes) + 1)]
        for node in self.nodes:
            rows[node.row].append(node)
        passed: dict[tuple[int, int], Wire] = {}
        for node in self.nodes:
            for at, wire in enumerate(node.inputs):
                here = wire
                for row in range(wire.source.row + 1, node.row):
                    key = (id(wire), row)
                    if key not in passed:
                        place = Node("", (), "pass", row, [here])
                        rows[row].append(place)
                        passed[key] = Wire(place, "")
                    here = passed[key]
                node.inputs[at] = here
        return rows

    def _place(self, rows: list[list[Node]]) -> None:
        """Give each node its place: below what enters it, where there is room."""
        for number, row in enumerate(rows):
            if number:
                row.sort(key=lambda node: (
                    sum(w.x for w in node.inputs) / len(node.inputs) if node.inputs else 0.0
                ))  # fmt: skip
            blocks = [node for node in row if node.kind != "pass"]
            room = WIDTH - 2 - GAP * (len(row) - 1) - SLOT * (len(row) - len(blocks))
            width = min(WIDEST, room / max(len(blocks), 1))
            for node in row:
                node.width = SLOT if node.kind == "pass" else width
            at = (WIDTH - sum(node.width for node in row) - GAP * (len(row) - 1)) / 2
            for node in row:
                node.x, at = at + node.width / 2, at + node.width + GAP
            # Wires leave side by side, each towards what it enters.
            following = rows[number + 1] if number + 1 < len(rows) else []
            for node in row:
                leaving = list({id(w): w for after in following for w in after.inputs
                                if w.source is node}.values())  # fmt: skip
                for position, wire in enumerate(leaving):
                    wire.x = node.x + node.width * ((position + 1) / (len(leaving) + 1) - 0.5)


def _wrapped(text: str, width: float, size: float) -> list[str]:
    """Break text into lines that fit a block."""
    fit = max(6, int((width - 8) / (size * 0.56)))
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > fit:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _draw(
    rows: list[list[Node]], edges: dict[int, _Edge], name: str, title: str, description: str
) -> Markup:
    drawing = Drawing(name, WIDTH, 0, title, description)
    y = 2.0
    for number, row in enumerate(rows):
        texts = {
            id(node): [(line, "strong middle") for line in _wrapped(node.title, node.width, 13.2)]
            + [(line, "soft small middle")
               for each in node.details for line in _wrapped(each, node.width, 12.4)]
            for node in row if node.kind != "pass"
        }  # fmt: skip
        height = max((14 * len(lines) + 10 for lines in texts.values()), default=0)
        for node in row:
            if node.kind == "pass":
                drawing.line(node.x, y, node.x, y + height, "wire")
                continue
            drawing.rect(node.x - node.width / 2, y, node.width, height, node.kind, round_=3)
            lines = texts[id(node)]
            top = y + (height - 14 * len(lines)) / 2 + 11
            for at, (line, class_) in enumerate(lines):
                drawing.text(node.x, top + 14 * at, line, class_)
        y += height
        if number + 1 < len(rows):
            y = _gap(drawing, rows[number + 1], edges.get(number), y)
    drawing.height = y + 2
    return drawing.render()


def _gap(drawing: Drawing, row: list[Node], edge: _Edge | None, y: float) -> float:
    """Draw the wires into a row, from `y` on, and the registers on their way; return its top."""
    lines = []
    for node in row:
        # What enters from the left enters at the left.
        entering = sorted(node.inputs, key=lambda wire: wire.x)
        for at, wire in enumerate(entering):
            share = (at + 1) / (len(entering) + 1)
            target = node.x + (0 if node.kind == "pass" else node.width * (share - 0.5))
            lines.append((wire, target, node.kind != "pass"))
    turning = list(dict.fromkeys(wire for wire, target, _ in lines if abs(target - wire.x) > 0.5))
    # Wires to the left turn first, the leftmost first, and those to the right the other way round:
    # then they cross least.
    turning.sort(key=lambda wire: wire.x)
    start = y + 20
    if edge is not None:
        start += 20
        drawing.line(0, y + 32, WIDTH, y + 32, "register" if edge.clocks else "limit")
    end = start + 7 * len(turning) + 9
    for wire, target, tip in lines:
        bend = start + 7 * turning.index(wire) if wire in turning else start
        drawing.path([(wire.x, y), (wire.x, bend), (target, bend), (target, end)], "wire")
        if tip:
            drawing.tip(target, end)
    labelled = {id(wire): wire for wire, _, _ in lines if wire.label}
    for wire in labelled.values():
        drawing.text(wire.x + 4, y + 13, wire.label, "soft small")
    if edge is not None:
        class_ = "hot small end halo" if edge.clocks else "soft small end halo"
        drawing.text(WIDTH - 2, y + 28, edge.label, class_)
    return end
