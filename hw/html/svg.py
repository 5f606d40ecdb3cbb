"""SVG drawings that take their colours from the page, so that they follow light and dark."""

import math
from collections.abc import Iterable, Sequence

from .elements import Markup, join, tag

__all__ = ["Drawing", "Scale", "path", "short", "ticks"]


def short(value: float) -> str:
    """Return a coordinate with at most one decimal."""
    text = f"{value:.1f}"
    return "0" if text == "-0.0" else text.removesuffix(".0")


def path(points: Iterable[tuple[float, float]]) -> str:
    """Return the ``d`` of a line through points."""
    return "M" + "L".join(f"{short(x)} {short(y)}" for x, y in points)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers from `low` to `high`, about `count` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(f * power for f in (1, 2, 2.5, 5, 10) if f * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


class Scale:
    """From numbers to coordinates.

    Parameters
    ----------
    low, high : float
        The numbers at both ends; of no range at all, one is made.
    start, end : float
        Their coordinates.
    """

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        if not high > low:
            low, high = low - 0.5, low + 0.5
        self.low, self.high, self.start, self.end = low, high, start, end

    def __call__(self, value: float) -> float:
        """Return the coordinate of a number."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


class Drawing:
    """An SVG under construction.

    Parameters
    ----------
    name : str
        Prefix of its ids, unique on the page.
    width, height : float
        Size in units of its own; the page scales it.
    title, description : str
        What it shows, for those who do not see it.
    fixed : bool
        Whether it keeps this size, in pixels.
    """

    def __init__(
        self, name: str, width: float, height: float, title: str, description: str, *,
        fixed: bool = False,
    ) -> None:  # fmt: skip
        self.name, self.width, self.height = name, width, height
        self.title, self.description, self.fixed = title, description, fixed
        self.parts: list[Markup] = []

    def text(self, x: float, y: float, content: object, class_: str | None = None) -> None:
        """Add text; (x, y) is on its base line."""
        self.parts.append(tag("text", content, x=short(x), y=short(y), class_=class_))

    def line(self, x1: float, y1: float, x2: float, y2: float, class_: str | None = None) -> None:
        """Add a straight line."""
        self.path([(x1, y1), (x2, y2)], class_)

    def path(self, points: Iterable[tuple[float, float]] | str, class_: str | None = None) -> None:
        """Add a line through points, or a path as SVG has it."""
        self.parts.append(
            tag("path", d=points if isinstance(points, str) else path(points), class_=class_)
        )

    def rect(
        self, x: float, y: float, width: float, height: float, class_: str, *, round_: float = 0,
        title: str | None = None,
    ) -> None:  # fmt: skip
        """Add a rectangle; `title` is shown when it is pointed at."""
        inner = () if title is None else (tag("title", title),)
        self.parts.append(
            tag("rect", *inner, x=short(x), y=short(y), width=short(width), height=short(height),
                rx=short(round_) if round_ else None, class_=class_)
        )  # fmt: skip

    def circle(self, x: float, y: float, radius: float, class_: str) -> None:
        """Add a circle."""
        self.parts.append(tag("circle", cx=short(x), cy=short(y), r=short(radius), class_=class_))

    def tip(self, x: float, y: float) -> None:
        """Add the tip of an arrow that points down to (x, y)."""
        self.path(f"M{short(x - 3.5)} {short(y - 6)}h7L{short(x)} {short(y)}z", "tip")

    def x_axis(self, scale: Scale, top: float, bottom: float, marks: Sequence[float]) -> None:
        """Add the grid of an axis below, and its numbers."""
        for mark in marks:
            self.line(scale(mark), top, scale(mark), bottom)
            self.text(scale(mark), bottom + 15, plain(mark), "soft small middle")

    def y_axis(self, scale: Scale, left: float, right: float, marks: Sequence[float]) -> None:
        """Add the grid of an axis at the left, and its numbers."""
        for mark in marks:
            self.line(left, scale(mark), right, scale(mark))
            self.text(left - 6, scale(mark) + 4, plain(mark), "soft small end")

    def render(self) -> Markup:
        """Return the element."""
        size = {"width": short(self.width), "height": short(self.height)} if self.fixed else {}
        return tag(
            "svg", tag("title", self.title, id=f"{self.name}-title"),
            tag("desc", self.description, id=f"{self.name}-desc"), join(self.parts),
            viewBox=f"0 0 {short(self.width)} {short(self.height)}", role="img",
            aria_labelledby=f"{self.name}-title {self.name}-desc", **size,
        )  # fmt: skip


def plain(value: float) -> str:
    """Return the number of a tick, as short as it can be told."""
    if value and (abs(value) >= 1e5 or abs(value) < 1e-3):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "\u2212")
    return f"{value:.4g}".replace("-", "\u2212")
