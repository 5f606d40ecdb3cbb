"""Plans that are none: what is refused, and what the message says."""

import copy
import json
import re
from dataclasses import replace

import pytest
from faults import spec_of
from norms import affine
from plans import resigned, small_plan

from hw.design import design
from hw.plan import Plan, PlannedSite, PlannedUnit
from hw.request import Request
from nnlut_train.errors import UsageError


@pytest.fixture(scope="module")
def plan():
    return small_plan()


def changed(*path, to):
    """Return a change: another value at a path; it is left out if that is None."""

    def change(data):
        for key in path[:-1]:
            data = data[key]
        if to is None:
            del data[path[-1]]
        else:
            data[path[-1]] = to

    return change


UNIT, SITE = ("units", "norm"), ("sites", "norm.layernorm")
REQUEST = (*UNIT, "request")
WRONG = [
    (changed("kind", to="pwl"), "kind must be plan: this is no plan"),
    (changed("schema", to=2), "schema must be 1, not 2"),
    (changed("schema", to=None), "schema must be 1, not None"),
    (changed("meta", to=None), "meta is missing"),
    (changed("meta", to=[1]), "meta must be an object, not [1]"),
    (changed("units", to=[]), "units must be an object, not []"),
    (changed("sites", to="all"), "sites must be an object, not 'all'"),
    (changed("more", to=1), "unknown field 'more'"),
    (changed("units", "al ways", to={}), "units.al ways: request is missing"),
    (changed(*UNIT, to=5), "units.norm: must be an object, not 5"),
    (changed(*UNIT, "arch", to=None), "units.norm: arch is missing"),
    (changed(*UNIT, "arch", to="rom"), "units.norm: arch must be one of pwl, not 'rom'"),
    (changed(*UNIT, "arch", to=["pwl"]), "units.norm: arch must be one of pwl, not ['pwl']"),
    (changed("units", "silu8", "arch", to="pwl"),
     "units.silu8: arch must be that of the spec's tables, direct, not pwl"),
    (changed(*UNIT, "name", to="norm"), "units.norm: unknown field 'name'"),
    (changed(*REQUEST, "op", to=None), "units.norm: request: op is missing"),
    (changed(*REQUEST, "op", to=3), "units.norm: request: op must be str, not 3"),
    (changed(*REQUEST, "op", to="antigravity:f"), "units.norm: request: op must be one of softmax"),
    (changed(*REQUEST, "gamma", to=[1.0]), "units.norm: request: unknown field 'gamma'"),
    (changed(*REQUEST, "module", to="x"), "units.norm: request: unknown field 'module'"),
    (changed(*REQUEST, "bits", to="8"), "units.norm: request: bits must be int, not '8'"),
    (changed(*REQUEST, "mask", to=1), "units.norm: request: mask must be bool, not 1"),
    (changed(*REQUEST, "lanes", to=True), "units.norm: request: lanes must be int, not True"),
    (changed(*REQUEST, "eps", to="0"), "units.norm: request: eps must be float, not '0'"),
    (changed(*REQUEST, "bits", to=99), "units.norm: request: --bits must be 8 to 16 for layernorm"),
    (changed("units", "silu8", "request", "domain", to=[1]),
     "units.silu8: request: domain must be two numbers, not [1]"),
    (changed("units", "silu8", "request", "domain", to=[0, 1e30]),
     "units.silu8: request: domain must be two numbers, not [0, 1e+30]"),
    (changed(*UNIT, "spec", to={}), "units.norm: spec: kind must be one of "),
    (changed(*UNIT, "spec", "unit", "length", to="6"),
     "units.norm: spec: norm.length must be int, not '6'"),
    (changed("units", "silu8", "spec", "table", "values", 0, to=7),
     "units.silu8: spec: table: sha256 does not match the integers: the file was changed"),
    (changed(*REQUEST, "bits", to=10),
     "units.norm: spec must have the request's input bits, 10, not 8"),
    (changed(*REQUEST, "output_bits", to=10),
     "units.norm: spec must have the request's output bits, 10, not 8"),
    (changed(*REQUEST, "input_frac", to=3),
     "units.norm: spec must have the request's input fraction bits, 3, not 4"),
    (changed(*REQUEST, "output_frac", to=0),
     "units.norm: spec must have the request's output fraction bits, 0, not 5"),
    (changed(*REQUEST, "length", to=8),
     "units.norm: spec must have the request's length, 8, not 6"),
    (changed(*REQUEST, "lanes", to=2), "units.norm: spec must have the request's lanes, 2, not 1"),
    (changed("units", "softmax8", "request", "mask", to=True),
     "units.softmax8: spec must have the request's mask, True, not False"),
    (changed("units", "rms", "request", "tables", to="writable"),
     "units.rms: arch must be one of pwl, not 'direct'"),
    (changed("units", "softmax8", "request", "tables", to="writable"),
     "units.softmax8: spec must have the request's tables writable, True, not False"),
    (changed("units", "softmax8", "request", "method", to="base2"),
     "units.softmax8: spec must be of softmax by base2, not of kind softmax"),
    (changed("units", "rms", "request", "op", to="layernorm"),
     "units.rms: spec must be of layernorm by nnlut, not of kind norm"),
    (changed("units", "act", "request", "op", to="gelu,tanh,exp"),
     "units.act: spec must be of gelu,tanh,exp by nnlut, not of kind shared"),
    (changed("units", "act", "request", "op", to="gelu"),
     "units.act: spec must be of gelu by nnlut, not of kind shared"),
    (changed(*SITE, to=[]), "sites.norm.layernorm: must be an object, not []"),
    (changed(*SITE, "op", to=None), "sites.norm.layernorm: op is missing"),
    (changed(*SITE, "op", to=1), "sites.norm.layernorm: op must be a name, not 1"),
    (changed(*SITE, "eps", to=1), "sites.norm.layernorm: unknown field 'eps'"),
    (changed(*SITE, "unit", to="nrom"),
     "sites.norm.layernorm: unit must be one of the units, softmax8, act, silu8, norm, rms, "
     "not 'nrom'"),
    (changed(*SITE, "op", to="rmsnorm"),
     "sites.norm.layernorm: op must be what the unit norm computes, layernorm, not 'rmsnorm'"),
    (changed("sites", "layer.0.gelu", "op", to="silu"),
     "sites.layer.0.gelu: op must be what the unit act computes, gelu,tanh, not 'silu'"),
    (changed(*SITE, "gamma", to=[1, 2.0, 3]),
     "sites.norm.layernorm: gamma must be a list of integers"),
    (changed(*SITE, "gamma", to="123"), "sites.norm.layernorm: gamma must be a list of integers"),
    (changed(*SITE, "gamma", to=[1, 2]),
     "sites.norm.layernorm: beta must have as many codes as gamma, 2, not 3"),
    (changed("sites", "layernorm", "beta", to=[0] * 7),
     "sites.layernorm: beta must have 1 to 6 codes, not 7"),
    (changed("sites", "layernorm", "beta", to=[]),
     "sites.layernorm: beta must have 1 to 6 codes, not 0"),
    (changed("sites", "layernorm", "beta", 2, to=2**11),
     "sites.layernorm: beta[2] must be -2048 to 2047, not 2048"),
    (changed("sites", "rmsnorm", "gamma", to=[1]),
     "sites.rmsnorm: gamma must not be given: the unit rms has no gamma"),
    (changed("sites", "layer.0.gelu", "beta", to=[1]),
     "sites.layer.0.gelu: beta must not be given: the unit act has no beta"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message for _, message in WRONG])
def test_the_message_names_file_and_field(plan, tmp_path, change, message):
    data = copy.deepcopy(plan.to_json())
    change(data)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(resigned(data)))
    with pytest.raises(UsageError) as raised:
        Plan.load(path)
    found = str(raised.value)
    assert found.startswith(f"{path}: {message}")
    assert "\n" not in found


@pytest.mark.parametrize("name", ["", "9lives", "a b", "always", "Module", "gelü", "../up", "a\n"])
def test_a_unit_has_the_name_of_a_module(plan, name):
    data = plan.to_json()
    data["units"][name] = data["units"]["rms"]
    with pytest.raises(UsageError, match=r"^units: a name must be a Verilog identifier, not "):
        Plan.from_json(resigned(data))


def test_damage_is_told(plan, tmp_path):
    path = tmp_path / "plan.json"
    with pytest.raises(UsageError, match=f"^{path}: cannot be read: No such file"):
        Plan.load(path)
    data = plan.to_json()
    text = json.dumps(data)
    for content, why in (
        (b"", "must be JSON: "),
        (text[:-9].encode(), "must be JSON: "),
        (b"\xff" + text.encode(), "must be JSON: "),
        (b"[" * 100000, "must be JSON: "),
        (text.replace('"loss": 0.1', '"loss": NaN').encode(), "must be JSON: NaN is no number"),
        (
            text.replace('"loss": 0.1', '"loss": 1' + "0" * 400).encode(),
            "must be JSON: an integer must have at most 64 bits",
        ),
        (text.replace('"loss": 0.1', '"loss": 0.2').encode(), "checksum does not match the cont"),
        (text.replace(data["checksum"], "0" * 64).encode(), "checksum does not match the cont"),
        (b"[]", "kind must be plan"),
    ):
        path.write_bytes(content)
        with pytest.raises(UsageError) as raised:
            Plan.load(path)
        assert str(raised.value).startswith(f"{path}: {why}")


def leaves(data, path=()):
    """Yield the path of every value; of a list only those of the first and the last."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in list(items) if isinstance(data, dict) else list(items)[:: len(data) or 1]:
        yield (*path, key)
        if isinstance(value, dict | list) and value:
            yield from leaves(value, (*path, key))


def test_another_value_anywhere_is_refused_or_read(plan):
    """With a right checksum: there is no other error than that of the user."""
    original = plan.to_json()
    values = (None, True, -1, 2**70, 1.5, "", "s8.4", [], [[]], {}, {"kind": "pwl"})
    refused = 0
    for number, path in enumerate(leaves(original)):
        for value in values[number % 5 :: 5]:
            data = copy.deepcopy(original)
            at = data
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = value
            data = data if path == ("checksum",) else resigned(data)
            try:
                Plan.from_json(data)
            except UsageError:
                refused += 1
    assert refused > 300


def test_a_unit_is_checked_when_it_is_made():
    request, spec = Request("gelu"), spec_of("gelu")
    with pytest.raises(UsageError, match=r"^spec must have the request's input bits, 6, not 8$"):
        PlannedUnit(Request("gelu", bits=6), "pwl", spec)
    with pytest.raises(UsageError, match=r"^arch must be one of direct, not 'pwl'$"):
        PlannedUnit(replace(request, arch="direct"), "pwl", spec)
    with pytest.raises(UsageError, match=r"^request: table must not be given: it is in the spec$"):
        PlannedUnit(Request("gelu", table=spec.table), "pwl", spec)
    norm = Request("layernorm", bits=8, length=6, **affine(6))
    with pytest.raises(UsageError, match=r"^request: gamma must not be given: it is in the spec$"):
        PlannedUnit(norm, "pwl", design(norm, "pwl"))
    own = Request("math:erf", domain=(-1.0, 1.0))
    with pytest.raises(UsageError, match=r"^request: op must be one of .*, not 'math:erf'$"):
        PlannedUnit(own, "pwl", spec)


def test_a_plan_is_checked_when_it_is_made(plan):
    unit = plan.units["rms"]
    with pytest.raises(UsageError, match=r"^units\.other: request: module must be the unit's name"):
        Plan({"other": unit}, {}, {})
    for meta in ({"x": float("nan")}, {"x": object()}, [1]):
        with pytest.raises(UsageError, match=r"^meta must be an object of JSON: "):
            Plan({}, {}, meta)
    with pytest.raises(UsageError, match=re.escape("sites.a: unit must be one of the units, of ")):
        Plan({}, {"a": PlannedSite("gelu", "b")}, {})
