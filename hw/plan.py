"""A plan: the units that a calibration decided on, and the sites of a network that they serve.

What a plan has of a unit is *the* specification: ``python -m hw.build --plan FILE`` builds it as it
is, and fits nothing again. Nothing here needs torch or Amaranth.
"""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from nnlut_train.errors import UsageError, where
from nnlut_train.files import write_bytes
from nnlut_train.reading import read_json
from nnlut_train.tables import digest
from sim.golden import WritableSpec

from .checks import is_identifier
from .planned import PlannedSite, PlannedUnit, fields_of

__all__ = ["Plan", "PlannedSite", "PlannedUnit"]

SCHEMA = 1
#: Of a build's files, that with the tables of the sites.
SITES_FILE = "tables/sites.json"


def _plain(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return `meta` as it is read back."""
    try:
        return json.loads(json.dumps(dict(meta), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"meta must be an object of JSON: {error}") from error


def _lines(data: Mapping[str, Any], opened: Collection[str], indent: int = 1) -> str:
    """Return the JSON of an object, a field a line, and those of the fields `opened` too.

    What is in a line is sorted: a table from the cache has its fields in another order.
    """
    parts = []
    for name, value in data.items():
        if name in opened and value:
            text = _lines(value, (), indent + 1)
        else:
            text = json.dumps(value, allow_nan=False, sort_keys=True)
        parts.append(f"{' ' * indent}{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + f"\n{' ' * (indent - 1)}}}"


def _unit_text(unit: PlannedUnit) -> str:
    """Return what a unit is, in a line."""
    spec, length = unit.spec, unit.spec.longest
    kind = f"{unit.arch}, {unit.request.segments} entries" if unit.arch == "pwl" else unit.arch
    clocks = spec.latency_of(length)
    latency = f"{clocks} clock{'s' * (clocks > 1)}" + f" for a row of {length}" * bool(length)
    return f"{kind}, {spec.input} to {spec.output}, {latency}"


def _error_text(errors: Any, site: str) -> str:
    """Return the error of a site that ``meta["relative_errors"]`` has, of squares, if it does."""
    error = errors.get(site) if isinstance(errors, dict) else None
    if not isinstance(error, int | float) or error < 0:
        return ""
    return f"rms error {100 * math.sqrt(error):.2f} %"


@dataclass(frozen=True)
class Plan:
    """What the calibration of a network decided.

    Parameters
    ----------
    units : mapping of str to PlannedUnit
        The units by their names, which are those of their Verilog modules.
    sites : mapping of str to PlannedSite
        The sites by their names, such as ``encoder.layer.0.intermediate.gelu``.
    meta : mapping
        Where the plan comes from; JSON-ready.

    Raises
    ------
    UsageError
        If a name is none, or a site does not go with its unit; the message names the field.
    """

    units: Mapping[str, PlannedUnit]
    sites: Mapping[str, PlannedSite]
    meta: Mapping[str, Any]

    def __post_init__(self) -> None:
        units = {}
        for name, unit in self.units.items():
            if not is_identifier(name):
                raise UsageError(f"units: a name must be a Verilog identifier, not {name!r}")
            if unit.request.module not in (None, name):
                raise UsageError(
                    f"units.{name}: request: module must be the unit's name, "
                    f"not {unit.request.module!r}"
                )
            units[name] = replace(unit, request=replace(unit.request, module=name))
        values = {"units": units, "sites": dict(self.sites), "meta": _plain(self.meta)}
        for field, value in values.items():
            object.__setattr__(self, field, value)
        for name, site in self.sites.items():
            with where(f"sites.{name}"):
                if site.unit not in units:
                    known = ", ".join(units) or "of which there is none"
                    raise UsageError(f"unit must be one of the units, {known}, not {site.unit!r}")
                site.check(units[site.unit])

    def __str__(self) -> str:
        """Return the units, each with its sites and, of a calibration, their errors."""
        errors, width = self.meta.get("relative_errors"), max(map(len, self.sites), default=0)
        lines = []
        for name, unit in self.units.items():
            lines.append(f"{name}: {_unit_text(unit)}")
            lines += [
                f"  {site:<{width}}  {_error_text(errors, site)}".rstrip()
                for site in self.served(name)
            ]
        return "\n".join(lines)

    def served(self, unit: str) -> dict[str, PlannedSite]:
        """Return the sites that the unit of this name serves."""
        return {name: site for name, site in self.sites.items() if site.unit == unit}

    def entry(self, unit: str) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return what the build of a unit says of the plan: in its manifest, and in more files.

        ``tables/sites.json`` has what a driver loads before the unit serves a site, where sites
        have tables of their own.
        """
        sites = self.served(unit)
        entry = {
            "checksum": self.to_json()["checksum"],
            "sites": {name: site.head() for name, site in sites.items()},
        }
        spec = self.units[unit].spec
        if not isinstance(spec, WritableSpec) or not any(
            site.rows(spec) for site in sites.values()
        ):
            return entry, {}
        rows = {name: site.rows(spec) for name, site in sites.items()}
        return entry | {"tables": SITES_FILE}, {SITES_FILE: (_lines(rows, ()) + "\n").encode()}

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON-ready data; ``checksum`` is of all the rest."""
        data = {
            "schema": SCHEMA,
            "kind": "plan",
            "units": {name: unit.to_json() for name, unit in self.units.items()},
            "sites": {name: site.to_json() for name, site in self.sites.items()},
            "meta": dict(self.meta),
        }
        return data | {"checksum": digest(data)}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Build a plan from `to_json`'s data.

        Raises
        ------
        UsageError
            If a field is missing or wrong, or the checksum is that of other contents.
        """
        if not isinstance(data, dict) or data.get("kind") != "plan":
            raise UsageError("kind must be plan: this is no plan")
        if data.get("schema") != SCHEMA:
            raise UsageError(f"schema must be {SCHEMA}, not {data.get('schema')!r}")
        data = fields_of(data, ("schema", "kind", "units", "sites", "meta", "checksum"))
        if digest({k: v for k, v in data.items() if k != "checksum"}) != data["checksum"]:
            raise UsageError("checksum does not match the contents: the file was changed")
        for field in ("units", "sites", "meta"):
            if not isinstance(data[field], dict):
                raise UsageError(f"{field} must be an object, not {data[field]!r:.80}")
        units, sites = {}, {}
        for name, value in data["units"].items():
            with where(f"units.{name}"):
                units[name] = PlannedUnit.from_json(value)
        for name, value in data["sites"].items():
            with where(f"sites.{name}"):
                sites[name] = PlannedSite.from_json(value)
        return cls(units, sites, data["meta"])

    def save(self, path: Path | str, *, force: bool = False) -> None:
        """Write the plan's file, in one piece.

        Parameters
        ----------
        path : path
            Where.
        force : bool
            Whether to replace what is there.

        Raises
        ------
        UsageError
            If something is there, or the file cannot be written.
        """
        path = Path(path)
        if not force and (path.exists() or path.is_symlink()):
            raise UsageError(f"{path} is there already: --force replaces it")
        try:
            text = _lines(self.to_json(), ("units", "sites")) + "\n"
            write_bytes(path, text.encode())
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from error

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a plan's file.

        Raises
        ------
        UsageError
            If the file cannot be read or is not a valid plan; the message names file and field.
        """
        with where(str(path)):
            try:
                data = read_json(path)
            except OSError as error:
                raise UsageError(f"cannot be read: {error.strerror}") from error
            except ValueError as error:
                raise UsageError(f"must be JSON: {error}") from error
            return cls.from_json(data)
