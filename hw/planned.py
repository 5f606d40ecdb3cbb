"""The parts of a plan: its units, whose requests and specifications agree, and its sites."""

import re
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Self, get_args

import numpy as np

from nnlut_train.errors import UsageError, where
from sim.golden import SharedSpec, Spec, WritableSpec, spec_from_json

from .choices import EPS, FLOAT_BITS, OPS, ROW_OPS
from .request import Request

__all__ = ["PlannedSite", "PlannedUnit", "fields_of"]

#: Options that a plan does not have: these are in the specification, ...
_SPECIFIED = ("table", "gamma", "beta")
#: ... and the module's name is the unit's.
_OPTIONS = tuple(
    name for name in Request.__dataclass_fields__ if name not in (*_SPECIFIED, "module")
)

#: Kinds of specifications of the row units and of I-BERT's functions, by op and method.
_KINDS = {
    "softmax": {"nnlut": "softmax", "rexp": "rexp", "lut2d": "lut2d", "base2": "base2",
                "kulisch": "kulisch", "ibert": "ibert_softmax"},
    "layernorm": {"nnlut": "norm", "ibert": "ibert_norm"},
    "rmsnorm": {"nnlut": "norm"},
    "gelu": {"ibert": "igelu"},
    "exp": {"ibert": "iexp"},
    "sqrt": {"ibert": "isqrt"},
}  # fmt: skip
_UNARY = (
    "pwl", "direct", "exp", "log", "reciprocal", "sine", "delta", "minimised", "multipartite",
    "indexed", "shiftadd",
)  # fmt: skip


def fields_of(data: Any, wanted: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    """Return `data` if it is a JSON object of these fields; raise UsageError if not."""
    if not isinstance(data, dict):
        raise UsageError(f"must be an object, not {data!r:.80}")
    for name in wanted:
        if name not in data:
            raise UsageError(f"{name} is missing")
    for name in data:
        if name not in (*wanted, *optional):
            raise UsageError(f"unknown field {name!r}")
    return data


def _check_ops(ops: Sequence[str]) -> None:
    for op in ops:
        if op not in OPS:
            raise UsageError(f"op must be one of {', '.join(OPS)}, not {op!r}")


def _option(name: str, value: Any) -> Any:
    """Return an option of a request from JSON; raise UsageError if it is of another type."""
    if name == "domain":
        numbers = isinstance(value, list) and all(type(each) in (int, float) for each in value)
        if not numbers or len(value) != 2 or not all(abs(each) < 2.0**64 for each in value):
            raise UsageError(f"domain must be two numbers, not {value!r}")
        return tuple(map(float, value))
    kind = Request.__dataclass_fields__[name].type
    wanted = get_args(kind) or (kind,)
    if type(value) not in wanted and not (float in wanted and type(value) is int):
        raise UsageError(f"{name} must be {wanted[0].__name__}, not {value!r}")
    return value


def _request(data: Any) -> Request:
    """Return the request of the options that JSON has."""
    data = fields_of(data, ("op",), _OPTIONS)
    options = {name: _option(name, value) for name, value in data.items()}
    # Before it is looked up: a plan is data, and runs no code of others.
    _check_ops(options["op"].split(","))
    return Request(**options)


def _options(request: Request) -> dict[str, Any]:
    """Return the options that differ from their defaults, JSON-ready."""
    given = {}
    for field in fields(request):
        value = getattr(request, field.name)
        if field.name in _OPTIONS and (field.default is MISSING or value != field.default):
            given[field.name] = list(value) if isinstance(value, tuple) else value
    return given


def _check_kind(request: Request, arch: str, spec: Spec) -> None:
    """Raise UsageError unless the specification is of the request's op, method and `arch`."""
    bare, op = spec.bare, request.op
    if len(request.ops) > 1:
        right = isinstance(bare, SharedSpec) and len(bare.functions) == len(request.ops)
    elif op in ROW_OPS or request.method != "nnlut":
        right = bare.kind == _KINDS[op][request.method]
        right = right and (op not in EPS or bare.centred == (op == "layernorm"))
    elif request.precision in FLOAT_BITS:
        right = bare.kind == "float_pwl"
    else:
        right = bare.kind in _UNARY
    if not right:
        raise UsageError(f"spec must be of {op} by {request.method}, not of kind {bare.kind}")
    kinds = {table.kind for name, table in spec.tables() if name not in bare.positional}
    kinds = {"pwl" if kind == "float_pwl" else kind for kind in kinds}
    # Beside lines there may be a direct table.
    others = sorted(kinds - {"direct"})
    if arch != "integer" and arch != (others[0] if others else "direct"):
        raise UsageError(
            f"arch must be that of the spec's tables, {' and '.join(sorted(kinds))}, not {arch}"
        )


def _distance(request: Request, spec: Spec) -> list[tuple[str, int | None, int]]:
    """Return what request and specification say of the distances that a softmax's exp sees."""
    if request.op != "softmax" or request.method != "nnlut":
        return []
    bits, frac, seen = request.distance_bits, request.distance_frac, spec.bare.exp.input
    if bits is None:
        bits, frac = spec.input.bits, spec.input.frac
    return [("distance bits", bits, seen.bits), ("distance fraction bits", frac, seen.frac)]


def _check_agreement(request: Request, arch: str, spec: Spec) -> None:
    """Raise UsageError unless request, architecture and specification are of the same unit."""
    archs = request.possible if request.arch == "auto" else (request.arch,)
    if arch not in archs:
        raise UsageError(f"arch must be one of {', '.join(archs)}, not {arch!r}")
    _check_kind(request, arch, spec)
    out_bits = request.output_bits
    if request.method in ("rexp", "lut2d"):
        out_bits = int(re.sub(r"\D", "", request.precision or "uint8"))
    for name, wanted, given in (
        ("tables writable", request.tables == "writable", isinstance(spec, WritableSpec)),
        ("input bits", request.bits, spec.input.bits),
        ("output bits", out_bits, spec.output.bits),
        ("input fraction bits", request.input_frac, spec.input.frac),
        ("output fraction bits", request.output_frac, spec.output.frac),
        *_distance(request, spec),
        ("length", request.length, spec.longest),
        ("lanes", request.lanes, spec.lanes),
        ("mask", request.mask, spec.mask),
    ):
        if wanted is not None and wanted != given:
            raise UsageError(f"spec must have the request's {name}, {wanted}, not {given}")


@dataclass(frozen=True)
class PlannedUnit:
    """A unit to build.

    Parameters
    ----------
    request : Request
        What the unit is; without a table, gamma or beta, which are in `spec`.
    arch : str
        Its architecture, one of ``request.possible``.
    spec : Spec
        Its specification.

    Raises
    ------
    UsageError
        If they disagree.
    """

    request: Request
    arch: str
    spec: Spec

    def __post_init__(self) -> None:
        with where("request"):
            for name in _SPECIFIED:
                if getattr(self.request, name) is not None:
                    raise UsageError(f"{name} must not be given: it is in the spec")
            _check_ops(self.request.ops)
        _check_agreement(self.request, self.arch, self.spec)

    def to_json(self) -> dict[str, Any]:
        """Return the unit as JSON-ready data."""
        return {
            "request": _options(self.request), "arch": self.arch, "spec": self.spec.describe()
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Build the unit from `to_json`'s data; raise UsageError if a field is wrong."""
        data = fields_of(data, ("request", "arch", "spec"))
        with where("request"):
            request = _request(data["request"])
        with where("spec"):
            spec = spec_from_json(data["spec"])
        return cls(request, data["arch"], spec)


@dataclass(frozen=True)
class PlannedSite:
    """A place in a network, and the unit that serves it.

    Parameters
    ----------
    op : str
        One of the unit's functions.
    unit : str
        The unit's name.
    gamma, beta : tuple of int, optional
        Norms: what the unit's tables of gamma and beta hold for this site from position 0 on,
        codes of their formats; as many as a row here has elements, 1 to the unit's length. Where
        None, the table is what it is after a reset.
    input_frac : int, optional
        Norms: fraction bits that the input's codes have here. The unit sees integers, and a norm
        does not change with their scale, but for epsilon, which is the unit's in squares of an ulp.
        By default those of its input's format.

    Raises
    ------
    UsageError
        If gamma, beta or the fraction bits are not integers, or the rows differ in length.
    """

    op: str
    unit: str
    gamma: tuple[int, ...] | None = None
    beta: tuple[int, ...] | None = None
    input_frac: int | None = None

    def __post_init__(self) -> None:
        for name in ("op", "unit"):
            if not isinstance(getattr(self, name), str):
                raise UsageError(f"{name} must be a name, not {getattr(self, name)!r}")
        if self.input_frac is not None and not (
            type(self.input_frac) is int and -32 <= self.input_frac <= 32
        ):
            raise UsageError(f"input_frac must be -32 to 32, not {self.input_frac!r}")
        for name in ("gamma", "beta"):
            codes = getattr(self, name)
            if codes is None:
                continue
            codes = codes.tolist() if isinstance(codes, np.ndarray) else codes
            if not isinstance(codes, list | tuple) or any(type(code) is not int for code in codes):
                raise UsageError(f"{name} must be a list of integers, not {codes!r:.80}")
            object.__setattr__(self, name, tuple(codes))
        if self.gamma is not None and self.beta is not None and len(self.gamma) != len(self.beta):
            raise UsageError(
                f"beta must have as many codes as gamma, {len(self.gamma)}, not {len(self.beta)}"
            )

    def check(self, unit: PlannedUnit) -> None:
        """Raise UsageError unless `unit` can serve the site."""
        if self.op not in unit.request.ops:
            raise UsageError(
                f"op must be what the unit {self.unit} computes, {unit.request.op}, not {self.op!r}"
            )
        if self.input_frac is not None and self.op not in EPS:
            raise UsageError(f"input_frac goes with {' and '.join(EPS)}, not with {self.op}")
        for name in ("gamma", "beta"):
            codes, table = getattr(self, name), getattr(unit.spec.bare, name, None)
            if codes is None:
                continue
            if table is None:
                raise UsageError(f"{name} must not be given: the unit {self.unit} has no {name}")
            if not 1 <= len(codes) <= unit.spec.longest:
                raise UsageError(
                    f"{name} must have 1 to {unit.spec.longest} codes, not {len(codes)}"
                )
            low, high = table.output.min, table.output.max
            for position, code in enumerate(codes):
                if not low <= code <= high:
                    raise UsageError(f"{name}[{position}] must be {low} to {high}, not {code}")

    def rows(self, spec: Spec) -> dict[str, list[int]]:
        """Return what the tables of gamma and beta of the unit hold for the site.

        Parameters
        ----------
        spec : Spec
            The unit.

        Returns
        -------
        dict of str to list of int
            By the tables' names, a code for each position that the unit has: beyond the site's
            own codes, those after a reset.
        """
        rows = {}
        for name in spec.bare.positional:
            table, codes = getattr(spec.bare, name), getattr(self, name) or ()
            if table is not None:
                rows[name] = [*codes, *table.values[len(codes) : spec.longest]]
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return the site as JSON-ready data."""
        rows = {"gamma": self.gamma, "beta": self.beta}
        written = {name: list(codes) for name, codes in rows.items() if codes is not None}
        return {**self.head(), **written}

    def head(self) -> dict[str, Any]:
        """Return the site without its rows, as JSON-ready data."""
        scale = {} if self.input_frac is None else {"input_frac": self.input_frac}
        return {"op": self.op, "unit": self.unit, **scale}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Build the site from `to_json`'s data; raise UsageError if a field is wrong."""
        return cls(**fields_of(data, ("op", "unit"), ("gamma", "beta", "input_frac")))
