"""HTML and SVG elements as strings: all text is escaped unless it is `Markup` already."""

from html import escape

__all__ = ["Markup", "figure", "join", "number", "scroll", "table", "tag"]

#: Elements without content and without an end tag.
_VOID = frozenset({"br", "hr", "meta"})


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


def join(parts: object, between: str = "") -> Markup:
    """Return elements and texts one after another; texts are escaped."""
    return Markup(between.join(p if isinstance(p, Markup) else escape(str(p)) for p in parts))


def tag(name: str, /, *content: object, **attributes: object) -> Markup:
    """Return an element.

    Parameters
    ----------
    name : str
        Its name.
    *content : object
        `Markup` as it is; all else as escaped text.
    **attributes : object
        Their names with ``_`` for ``-``, and one more ``_`` at the end where Python has the word
        for itself. Those that are None or False are left out, True has no value.
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        words.append(key if value is True else f'{key}="{escape(str(value))}"')
    start = Markup(f"<{' '.join(words)}>")
    return start if name in _VOID else Markup(f"{start}{join(content)}</{name}>")


def number(value: float, digits: int = 2) -> str:
    """Return a number for people: groups of thousands, at most so many decimals, a true minus."""
    text = f"{value:,.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "0") else text.replace("-", "\u2212")


def scroll(content: Markup, label: str) -> Markup:
    """Return wide content in a box of its own that scrolls, by the keyboard, too."""
    return tag("div", content, class_="scroll", tabindex="0", role="region", aria_label=label)


def table(label: str, head: list[str], rows: list[list[object]], *, numeric: int = 0) -> Markup:
    """Return a table in a box that scrolls.

    Parameters
    ----------
    label : str
        What it is, for those who do not see it.
    head : list of str
        Heads of the columns.
    rows : list of list
        Cells; the first one of a row is its head.
    numeric : int
        So many last columns hold numbers, which stand to the right.
    """
    edge = len(head) - numeric

    def side(at: int) -> str | None:
        return "number" if at >= edge else None

    heads = [tag("th", text, scope="col", class_=side(at)) for at, text in enumerate(head)]
    body = [
        tag("tr", tag("th", row[0], scope="row"),
            *(tag("td", cell, class_=side(at)) for at, cell in enumerate(row[1:], 1)))
        for row in rows
    ]  # fmt: skip
    return scroll(
        tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *body), aria_label=label), label
    )


def figure(drawing: Markup, caption: object, class_: str | None = None) -> Markup:
    """Return a drawing with its caption."""
    return tag("figure", drawing, tag("figcaption", caption), class_=class_)
