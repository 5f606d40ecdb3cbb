"""The report of a build: every kind of unit has one, and it says what the manifest says."""

import json
import re
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import sim.bench
import sim.measure
from hw import build as hw_build
from hw import choosing
from hw.catalogue import KINDS
from hw.cost import AsicCost, FpgaCost
from hw.design import design
from hw.html.row_blocks import unit_diagram
from hw.html.waveform import shown
from hw.html.words import cost_rows
from hw.manifest import load_build
from hw.request import Request
from nnlut_train.formats import Format
from sim.beats import Clock, expected, input_beats
from sim.bench import BenchReport, Run
from sim.golden import PwlSpec, UnarySpec
from sim.stimuli import stimuli
from sim.vectors import load_vectors

pytestmark = pytest.mark.usefixtures("own_folder", "no_yosys")

VOID = {"br", "hr", "meta"}
#: Attributes by which a page loads something.
LOADING = {"src", "href", "srcset", "data", "action", "poster", "xlink:href"}


class Page(HTMLParser):
    """Parses a page; what is not well formed fails."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.named, self.levels = [], [], [], []
        self.texts, self.tables, self.svgs = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        assert len(values) == len(attributes), f"{tag} has an attribute twice"
        assert not LOADING & values.keys()
        assert "url(" not in values.get("style", "")
        self.ids += [values["id"]] if "id" in values else []
        self.named += values.get("aria-labelledby", "").split()
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag == "tr":
            self.tables.append([])
        if tag == "svg":
            self.svgs.append([float(part) for part in values["viewbox"].split()])
        assert tag not in {"script", "link", "img", "iframe", "object"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            assert "@import" not in data
            assert "url(" not in data
            return
        self.texts.append(data)
        if "tr" in self.open:
            self.tables[-1].append(data)

    @property
    def text(self):
        return "".join(self.texts)


def modelled(spec, unit, *, seed):
    """Return what the first run of the bench would record, without the hardware."""
    run = stimuli(spec, seed)[0]
    entering, leaving = (f(spec, run.rows, run.users, run.keeps) for f in (input_beats, expected))
    late = spec.latency_of(spec.longest or 1)
    trace = [
        Clock(n < len(entering), True, entering[n] if n < len(entering) else None,
              n >= late, True, leaving[n - late] if n >= late else None)
        for n in range(late + len(leaving))
    ]  # fmt: skip
    runs = [Run(run.name, len(run.rows), len(leaving), len(leaving) * spec.lanes)]
    return BenchReport(runs, {spec.longest or 1: late}, spec.lanes, trace)


@pytest.fixture
def modelled_bench(monkeypatch):
    """Take the recording from the golden model: building a simulator takes longest."""
    monkeypatch.setattr(hw_build, "run_bench", modelled)
    monkeypatch.setattr(hw_build, "unit_of", lambda spec: None)


@pytest.fixture
def quick(monkeypatch):
    """Build with one stimulus, few rows and no Verilog: that is the business of other tests."""
    monkeypatch.setattr(sim.bench, "stimuli", lambda spec, seed: stimuli(spec, seed)[:1])
    monkeypatch.setattr(hw_build.yosys, "version", lambda: "Yosys")
    monkeypatch.setattr(choosing, "measure", partial(sim.measure.measure, rows=50))
    monkeypatch.setattr(
        hw_build, "to_verilog", lambda spec, name, text: f"module {name}( // {spec.kind}"
    )


def built(kind, folder="out"):
    request = Request(**KINDS[kind])
    arch = request.wanted[0]
    result = hw_build.build(
        request, Path(folder), spec=design(request, arch), arch=arch,
        command=f"python -m hw.build {kind}",
    )  # fmt: skip
    text = (result.folder / "report.html").read_text(encoding="utf-8")
    return result, load_build(result.folder).manifest, text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("quick", "modelled_bench")
def test_every_kind_has_a_report(kind):
    result, manifest, text = built(kind)
    page = Page(text)
    assert len(text.encode()) < 300_000
    assert re.search(r"https?:|//", text.replace("<!DOCTYPE html>", "")) is None
    assert len(set(page.ids)) == len(page.ids)
    assert set(page.named) <= set(page.ids)
    assert page.levels[0] == 1
    assert all(b <= a + 1 for a, b in zip(page.levels, page.levels[1:], strict=False))
    # What the manifest says.
    accuracy = manifest["accuracy"]
    assert f"{accuracy['max_ulp']:.3f} ulp" in page.text
    assert f"{accuracy['rms_ulp']:.3f} ulp" in page.text
    assert manifest["description"] in page.text
    assert manifest["command"] in page.text
    assert set(manifest["files"]) - {"report.html"} <= set(page.texts)
    for _, table in result.chosen.spec.tables():
        assert table.sha256 in page.texts
    rows = [[text.strip() for text in row] for row in page.tables]
    for port in manifest["ports"]:
        bits = f"[{port['width'] - 1}:0]" if port["width"] > 1 else "1 bit"
        assert [port["name"], port["direction"], bits, port["meaning"]] in rows
    for run in manifest["simulation"]:
        numbers = [f"{run[name]:,}" for name in ("rows", "beats", "results")]
        assert [run["run"], *numbers] in rows


@pytest.mark.parametrize("kind", KINDS)
def test_a_diagram_has_the_stages_of_the_unit(kind):
    request = Request(**KINDS[kind])
    spec = design(request, request.wanted[0])
    d = unit_diagram(spec)
    if isinstance(spec.bare, UnarySpec):
        assert d.stage == spec.latency_of(1)
        assert d.steps[-1][1] == d.stage
    known = {"pwl", "direct", "exp", "reciprocal", "log", "sine", "iexp", "igelu", "isqrt",
             "shared", "softmax", "rexp", "lut2d", "base2", "ibert_softmax", "norm",
             "ibert_norm", "indexed", "shiftadd", "multipartite", "minimised"}  # fmt: skip
    if isinstance(spec.bare, PwlSpec):
        for stages in range(1, len(spec.bare.steps.names) + 1):
            assert unit_diagram(PwlSpec(spec.bare.table, stages)).stage == stages
    # Those that have blocks of their own are drawn by them, and never as a plain box.
    assert not known & set(d.plain)


@pytest.mark.parametrize("kind", ["pwl", "lanes", "softmax, lanes", "layernorm"])
@pytest.mark.usefixtures("quick")
def test_the_waveform_shows_the_vectors(kind):
    result, _, text = built(kind)
    vectors = load_vectors(result.folder / "vectors" / "vectors.npz")
    lanes, trace = result.chosen.spec.lanes, result.bench.trace
    for side, codes, last in (("i", vectors.input, vectors.input_last),
                              ("o", vectors.output, vectors.output_last)):  # fmt: skip
        beats = [
            getattr(clock, f"{side}_beat") for clock in trace
            if getattr(clock, f"{side}_valid") and getattr(clock, f"{side}_ready")
        ]  # fmt: skip
        # Two rows of the longest are the first of the vectors.
        count = 2 * result.chosen.spec.beats(result.chosen.spec.longest or 64)
        assert count > 8
        beats = beats[:count]
        wanted = codes[:count].reshape(count, lanes).tolist()
        assert [[code or 0 for code in beat.codes] for beat in beats] == wanted
        assert [beat.last for beat in beats] == last[:count].tolist()
    first = next(n for n, clock in enumerate(trace) if clock.o_valid)
    assert trace[0].i_valid
    assert first == result.chosen.spec.latency_of(result.chosen.spec.longest or 1)
    assert f"offered in clock {first}: {first} clocks later" in text
    drawn = text[text.index('aria-labelledby="waveform-title') :]
    drawn = Page(drawn[drawn.index(">") + 1 : drawn.index("</svg>")]).texts
    for stretch in shown(trace):
        for n in stretch:
            assert str(n) in drawn
            if trace[n].o_valid:
                assert str(trace[n].o_beat.codes[0]).replace("-", "\u2212") in drawn


@pytest.mark.usefixtures("quick", "modelled_bench")
def test_text_is_escaped(monkeypatch, tmp_path):
    tmp_path.joinpath("odd_ones.py").write_text("def square(x):\n    return x * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    request = Request("odd_ones:square", bits=6, domain=(-2.0, 2.0), arch="direct")
    evil = "--out 'a<b>&\"c\"</title></style><script>alert(1)</script>'"
    result = hw_build.build(request, command=evil)
    page = Page((result.folder / "report.html").read_text(encoding="utf-8"))
    assert evil in page.texts
    assert "odd_ones:square" in page.text


@pytest.mark.usefixtures("quick", "modelled_bench")
def test_two_builds_are_identical():
    first, _, text = built("softmax", "a")
    second, manifest, again = built("softmax", "b")
    assert text == again
    assert manifest["files"]["report.html"] == load_build(first.folder).manifest["files"][
        "report.html"
    ]  # fmt: skip
    assert first.folder != second.folder


@pytest.mark.usefixtures("quick", "modelled_bench")
def test_other_architectures_and_costs(monkeypatch):
    def synthesize(verilog, top, target, **_):
        if target == "generic":
            area = 1234.56 if "direct" in verilog else 4321.0
            return AsicCost(top, target, "Y 1", "flip-flops", {"INV": 3}, 7, area, area - 1.0, 1.0,
                            "GE", ())  # fmt: skip
        return FpgaCost(top, target, "Y 1", "auto", {"LUT4": 55}, 9, 55, 1, 4, 2, 0, 0, {"B": 1})

    monkeypatch.setattr(hw_build, "synthesize", synthesize)
    result = hw_build.build(Request("gelu", bits=6), targets=("generic", "ice40"))
    manifest = json.loads((result.folder / "gelu_int6.json").read_text())
    page = Page((result.folder / "report.html").read_text(encoding="utf-8"))
    rows = [[text.strip() for text in row] for row in page.tables]
    assert ["flip-flops", "7", "9"] in rows
    assert ["DSP blocks", "\u2013", "2"] in rows
    sizes = {cost["area"] for cost in manifest["cost"] if "area" in cost}
    sizes |= {other["cost"]["area"] for other in manifest["other_architectures"].values()
              if "cost" in other}  # fmt: skip
    assert len(sizes) > 1
    for size in sizes:
        assert any(f"{size:,.1f}".removesuffix(".0") + " GE" in text for text in page.texts)


def test_what_new_parts_add_to_a_cost_is_shown():
    cost = {"design": "u", "target": "liberty", "unit": "um2", "area": 12.5, "cells": {"X": 1},
            "timing": {"clock_ns": 1.0, "slack_ns": -0.25}, "power_mw": 0.125,
            "seeds_mhz": [150.5, 160]}  # fmt: skip
    assert dict(cost_rows(cost)) == {
        "area, \u00b5m\u00b2": "12.5", "timing: clock ns": "1", "timing: slack ns": "\u22120.25",
        "power mw": "0.125", "seeds mhz": "150.5, 160",
    }  # fmt: skip


def test_a_unit_that_nobody_drew_is_a_box_with_its_stages():
    @dataclass(frozen=True)
    class NewSpec(UnarySpec):
        kind = "new"
        input: Format
        output: Format
        latency = 4

        def compute(self, codes):
            return np.asarray(codes)

    d = unit_diagram(NewSpec(Format(True, 8, 4), Format(True, 8, 4)))
    assert (d.stage, d.plain) == (4, ["new"])
    assert ">new<" in d.render("d", "title", "description")
