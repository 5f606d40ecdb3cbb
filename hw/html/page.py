"""The report of a build: ``report.html``, one file that needs nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

from sim.bench import Clock
from sim.golden import Spec

from ..request import Request
from . import reference, sections
from .elements import Markup, tag
from .style import CSS

__all__ = ["page"]

#: What the page may load: nothing but its own style.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(
    request: Request, spec: Spec, manifest: dict[str, Any], trace: Sequence[Clock],
    files: Mapping[str, bytes],
) -> bytes:  # fmt: skip
    """Return the report of a build as HTML.

    It says what the manifest says, and shows what the golden model and the recorded simulation
    give; nothing in it depends on the time or the machine.

    Parameters
    ----------
    request : Request
        What was asked for.
    spec : Spec
        What was built.
    manifest : dict
        The build's manifest, still without its name, files and sha256.
    trace : sequence of Clock
        The first run of the simulation.
    files : mapping of str to bytes
        The other files of the build.
    """
    body = [
        tag("header", tag("h1", request.name), tag("p", manifest["description"], class_="lead")),
        tag(
            "main",
            sections.section("What it is", sections.facts(request, spec, manifest)),
            sections.section("Key figures", sections.tiles(spec, manifest)),
            sections.section("How it works", *sections.architecture(spec)),
            *sections.errors(request, spec, manifest),
            reference.costs(manifest),
            sections.recorded(spec, list(trace)),
            reference.interface(manifest),
            reference.tables(spec, files),
            reference.proof(manifest),
            reference.made_by(manifest),
            reference.files_made(request.name, files),
        ),
        tag("footer", tag("p", "Written by hw.build.")),
    ]
    head = tag(
        "head", tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="description", content=manifest["description"]),
        tag("title", f"{request.name}: {manifest['description']}"), tag("style", Markup(CSS)),
    )  # fmt: skip
    text = f"<!DOCTYPE html>\n{tag('html', head, tag('body', *body), lang='en')}\n"
    return text.encode()
