"""Softmax of rows of one beat, a plain pipeline, against fractions: no float, no golden model."""

import random

import pytest
from benching import check, simulate
from faults import spec_of
from naive import naive_softmax

from hw.units import unit_of


def rows_of(spec, draw):
    """Return beats of every remainder: logits, which lanes have one, which of them are masked."""
    form, lanes = spec.input, spec.lanes
    everyone = (1 << lanes) - 1
    for there in range(lanes + 1):
        keep = (1 << there) - 1
        for reach in (0, 3, 20, form.max):
            centre = draw.randint(form.min, form.max)
            logits = [max(form.min, min(form.max, centre + draw.randint(-reach, reach)))
                      for _ in range(lanes)]  # fmt: skip
            masks = {0, draw.randint(0, everyone), keep} if spec.mask else {0}
            yield from ((logits, keep, mask) for mask in masks)
    for one in range(lanes):  # one maximum, and one minimum, in each lane
        yield [form.max if at == one else form.min for at in range(lanes)], everyone, 0
        yield [form.min if at == one else form.max for at in range(lanes)], everyone, 0


def wanted_of(spec, logits, keep, mask):
    """Return the probabilities of the lanes that are there, by lane."""
    there = [at for at in range(spec.lanes) if keep >> at & 1]
    seen = [at for at in there if not mask >> at & 1]
    found = dict.fromkeys(there, 0)
    if seen:
        found |= zip(seen, naive_softmax(spec, [logits[at] for at in seen]), strict=True)
    return found


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize(
    ("lanes", "arch", "bits"), [(4, "direct", 8), (4, "pwl", 6), (8, "direct", 8)]
)
def test_every_remainder_is_what_fractions_say(lanes, arch, bits, mask):
    spec = spec_of("softmax", bits, arch, length=lanes, lanes=lanes, mask=mask)
    assert spec.plain
    unit, draw = unit_of(spec), random.Random(lanes)
    beats = list(rows_of(spec, draw))
    assert {bin(keep).count("1") for _, keep, _ in beats} == set(range(lanes + 1))
    found = []

    async def testbench(ctx, domain):
        sent, offered = 0, False
        for _ in range(6 * len(beats) + 100):
            offered = offered or (sent < len(beats) and draw.random() < 0.8)
            if offered:
                logits, keep, masked = beats[sent]
                payload = {"data": logits, "keep": keep, "last": 1}
                ctx.set(unit.i.payload, payload | ({"user": masked} if mask else {}))
            ctx.set(unit.i.valid, offered)
            ready = draw.random() < 0.8
            ctx.set(unit.o.ready, ready)
            _, _, taken, valid, result = await ctx.tick().sample(
                unit.i.ready, unit.o.valid, unit.o.payload
            )
            if valid and ready:
                assert result.last
                found.append((list(result.data), result.keep))
            if offered and taken:
                sent, offered = sent + 1, False
            if len(found) == len(beats):
                break
        assert not ctx.get(unit.o_overlong) | ctx.get(unit.o_holes)

    simulate(unit, testbench)
    assert len(found) == len(beats)
    for beat, (codes, keep) in zip(beats, found, strict=True):
        wanted = wanted_of(spec, *beat)
        assert keep == beat[1]
        assert {at: codes[at] for at in wanted} == wanted, beat


def test_latency_and_throughput_are_those_of_a_plain_pipeline():
    spec = spec_of("softmax", 5, "direct", length=4, lanes=4)
    report = check(spec)
    assert report.throughput == 4
    assert set(report.latency.values()) == {spec.latency_of(4)}
    longer = spec_of("softmax", 5, "direct", length=8, lanes=4)
    assert spec.latency_of(4) < longer.latency_of(4)
