"""What a user of the unit looks up: cost, interface, tables, proof, command, tools, files."""

from collections.abc import Mapping
from typing import Any

from sim.golden import Spec

from .elements import Markup, figure, number, table, tag
from .plots import bars
from .sections import facts_list, section
from .words import ARCHITECTURES, cost_rows, cost_size, step_words, target_name

__all__ = ["costs", "files_made", "interface", "made_by", "proof", "tables"]


def costs(manifest: dict[str, Any]) -> Markup:
    """Return the cost for each target, and what else it could have been."""
    found = manifest["cost"]
    columns = [dict(cost_rows(cost)) for cost in found]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [[name, *(column.get(name, "\u2013") for column in columns)] for name in names]
    parts: list[Markup] = [table(
        "cost by target", ["", *(target_name(cost["target"]) for cost in found)], rows,
        numeric=len(found),
    )]  # fmt: skip
    tools = sorted({str(cost["yosys"]) for cost in found if "yosys" in cost})
    parts.append(tag("p", f"Cells only, no wires. {', '.join(tools)}.", class_="muted"))
    parts += [tag("p", f"Library {library['name']}: {library['file']}, sha256 {library['sha256']}",
                  class_="muted")
              for cost in found for library in cost.get("libraries", ())]  # fmt: skip
    drawings = _comparisons(manifest)
    refused = [(arch, other["refused"]) for arch, other in
               manifest.get("other_architectures", {}).items() if "refused" in other]  # fmt: skip
    if drawings or refused:
        parts.append(tag("h3", "Other ways to build it"))
        parts += [tag("div", *drawings, class_="pair")] if len(drawings) > 1 else drawings
        parts += [facts_list(refused)] if refused else []
    cells = [(target_name(cost["target"]), cost["cells"]) for cost in found if cost.get("cells")]
    if cells:
        parts.append(tag("details", tag("summary", "Cells of the netlists"), facts_list([
            (name, ", ".join(f"{kind} {count:,}" for kind, count in kinds.items()))
            for name, kinds in cells
        ])))  # fmt: skip
    return section("What it costs", *parts)


def _comparisons(manifest: dict[str, Any]) -> list[Markup]:
    """Return bars of the other architectures, and of the units that a shared one replaces."""
    drawings, first = [], manifest["cost"][0]
    size, unit = cost_size(first)
    target = target_name(first["target"])
    others = manifest.get("other_architectures", {})
    same = {arch: other for arch, other in others.items()
            if other.get("cost", {}).get("target") == first["target"]}  # fmt: skip
    if same:
        rows = [(manifest["architecture"], size, _error(manifest["accuracy"]), True)]
        rows += [(arch, cost_size(other["cost"])[0], _error(other), False)
                 for arch, other in same.items()]  # fmt: skip
        rows.sort(key=lambda row: row[1])
        drawings.append(figure(
            bars("architectures", f"Size of each architecture, {target}", unit, rows),
            f"Size by architecture: {target}. In blue, what was built. "
            + "; ".join(f"{arch}: {ARCHITECTURES[arch]}" for arch, *_ in rows
                        if arch in ARCHITECTURES) + ".",
        ))  # fmt: skip
    separate = manifest.get("shared", {}).get("comparison", {}).get("separate", {})
    if separate:
        rows = [("this unit", size, "", True)]
        rows += [(f"{len(costs) - 1} units, {arch}", costs["together"], "", False)
                 for arch, costs in separate.items()]  # fmt: skip
        drawings.append(figure(
            bars("separate", f"Size of one unit and of several, {target}", unit, rows),
            f"One unit for all functions, against one unit a function: {target}.",
        ))  # fmt: skip
    return drawings


def _error(accuracy: Mapping[str, Any]) -> str:
    return f"max {accuracy['max_ulp']:.3f} ulp"


def interface(manifest: dict[str, Any]) -> Markup:
    """Return the ports with the bit ranges of their fields, and the registers."""
    rows: list[list[object]] = []
    for port in manifest["ports"]:
        width = port["width"]
        rows.append([tag("code", port["name"]), port["direction"],
                     f"[{width - 1}:0]" if width > 1 else "1 bit", port["meaning"]])  # fmt: skip
        for one in port.get("fields", ()):
            sign = "signed" if one["signed"] else "unsigned"
            step = step_words(one["scale"])
            rows.append([tag("code", f"\u00a0\u00a0{one['name']}"), "",
                         f"[{one['msb']}:{one['lsb']}]",
                         f"{one['format']}: {sign}, 1 step = {step}"])  # fmt: skip
    parts = [table("ports", ["port", "direction", "bits", "meaning"], rows)]
    if registers := manifest.get("registers"):
        parts += _registers(registers)
    return section("Interface", *parts)


def _registers(registers: dict[str, Any]) -> list[Markup]:
    rows: list[list[object]] = []
    for one in registers["registers"]:
        bits = ", ".join(f"{name} [{bit}]" for name, bit in one.get("bits", {}).items())
        rows.append([tag("code", one["name"]), f"0x{one['address']:03x}", one["access"],
                     bits or one.get("meaning", "")])  # fmt: skip
    arrays: list[list[object]] = []
    for held in registers["tables"]:
        for array in held["arrays"]:
            last = array["address"] + 4 * (array["count"] * array["words"] - 1)
            sign = "signed" if array["signed"] else "unsigned"
            arrays.append([tag("code", f"{held['symbol']}.{array['name']}"),
                           f"0x{array['address']:03x} to 0x{last:03x}",
                           number(array["count"]), f"[{array['bits'] - 1}:0], {sign}"])  # fmt: skip
    return [
        tag("h3", f"Registers: {registers['bus']}, {registers['data_bits']} bits"),
        table("registers", ["register", "address", "access", "content"], rows),
        table("written tables", ["table", "addresses", "entries", "bits of an entry"], arrays),
    ]


def tables(spec: Spec, files: Mapping[str, bytes]) -> Markup:
    """Return the tables inside."""
    rows = [
        [name, str(one.meta.get("function", "\u2013")), one.kind,
         number(len(one.values)) if one.kind == "direct" else getattr(one, "entries", "\u2013"),
         f"{one.storage_bits:,}", tag("code", one.sha256)]
        for name, one in spec.tables()
    ]  # fmt: skip
    if not rows:
        return section("Tables", tag("p", "The unit has no tables."))
    return section(
        "Tables", table("tables", ["table", "function", "kind", "entries", "bits", "sha256"], rows)
    )


def proof(manifest: dict[str, Any]) -> Markup:
    """Return what was simulated."""
    runs = manifest["simulation"]
    total = sum(run["results"] for run in runs)
    rows = [[run["run"], *(number(run[name]) for name in ("rows", "beats", "results"))]
            for run in runs]  # fmt: skip
    return section(
        "How it was proved",
        tag("p", f"In simulation, {total:,} results were equal to those of the golden model, bit "
            f"by bit, in {len(runs)} runs, and the latency and throughput above were measured. "
            f"{manifest['vectors']['beats']:,} beats are written as test vectors, for other "
            "simulators."),
        table("simulation runs", ["run", "rows", "beats", "results"], rows, numeric=3),
    )  # fmt: skip


def made_by(manifest: dict[str, Any]) -> Markup:
    """Return the command and the versions of the tools."""
    parts: list[Markup] = []
    if manifest["command"]:
        parts.append(tag("pre", tag("code", manifest["command"])))
    parts.append(facts_list([(name, text) for name, text in manifest["tools"].items()]))
    return section("The command, and its tools", *parts)


def files_made(name: str, files: Mapping[str, bytes]) -> Markup:
    """Return the other files of the build."""
    rows: list[list[object]] = [[tag("code", file), number(len(data))]
                                for file, data in sorted(files.items())]  # fmt: skip
    return section(
        "Files",
        table("files", ["file", "bytes"], rows, numeric=1),
        tag("p", "The manifest ", tag("code", f"{name}.json"), " has the sha256 of each."),
    )
