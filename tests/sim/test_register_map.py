"""The registers of writable units: map, C header, driver, and the model behind them."""

import json
import random
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from faults import spec_of
from norms import affine, norm_spec
from writing import driver_of

from nnlut_train.errors import UsageError
from nnlut_train.files import save
from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable, PwlTable
from sim.golden import PwlSpec, WritableSpec, spec_from_json
from sim.golden.register_files import driver, files_of, header
from sim.golden.register_map import CONTROL, register_map
from sim.golden.writable import padded
from sim.random_tables import random_table, random_tables

FORM = Format(True, 4, 1)
LINES = PwlTable(FORM, Format(True, 8, 2), Format(True, 5, 2), Format(False, 9, 3), (-3, 2, 6),
                 (1, -16, 15, 0), (0, 5, 511, 9))  # fmt: skip
WIDE = PwlTable(FORM, Format(True, 30, 2), Format(True, 33, 2), Format(False, 40, 3), (0,),
                (-1, (1 << 32) - 1), (0, (1 << 40) - 1))  # fmt: skip

UNITS = {
    "lines": lambda: PwlSpec(LINES),
    "one line": lambda: PwlSpec(replace(LINES, breakpoints=(), slopes=(3,), intercepts=(4,))),
    "wide": lambda: PwlSpec(WIDE),
    "folded": lambda: spec_of("gelu", 6, entries=4),
    "exp": lambda: spec_of("exp", 6, entries=4),
    "softmax": lambda: spec_of("softmax", 5, length=6, entries=4),
    "lanes": lambda: spec_of("softmax", 5, length=6, entries=4, lanes=2),
    "norm": lambda: norm_spec("layernorm", "pwl", bits=8, length=6, entries=4, **affine(6)),
}


@pytest.fixture(scope="module", params=UNITS)
def spec(request):
    return WritableSpec(UNITS[request.param]())


@pytest.fixture(scope="module")
def lines():
    return WritableSpec(PwlSpec(LINES))


# The map.


def test_no_two_words_share_an_address(spec):
    registers = register_map(spec)
    taken = [register["address"] for register in registers.to_json()["registers"]]
    assert taken == [0, 4, 8, 12]
    for block in registers.blocks:
        for array in block.arrays:
            size = 4 * array.count * array.words
            assert size <= array.size < 2 * max(size, 4)
            # An address is decoded by its bits.
            assert array.size & (array.size - 1) == 0
            assert array.address % array.size == 0
            taken += range(array.address, array.address + size, 4)
    assert len(set(taken)) == len(taken)
    assert max(taken) < 1 << registers.address_bits
    assert registers.address_bits == 12
    bits = sum(array.count * array.format.bits for block in registers.blocks
               for array in block.arrays)  # fmt: skip
    stored = sum(
        table.storage_bits if isinstance(table, PwlTable) else spec.longest * table.value.bits
        for _, table in spec.written()
    )
    assert bits == stored


def test_the_map_of_a_long_norm_needs_more_addresses():
    spec = WritableSpec(norm_spec(bits=8, length=1500, beta=(0.0,) * 1500))
    (block,) = register_map(spec).blocks
    (array,) = block.arrays
    assert (array.name, array.count, array.size, array.address) == ("values", 1500, 8192, 8192)
    assert register_map(spec).address_bits == 14


def test_the_map_does_not_depend_on_the_integers(spec):
    other = spec.with_tables(random_tables(spec, random.Random(1)))
    assert other != spec
    assert register_map(other).to_json() == register_map(spec).to_json()
    again = spec_from_json(json.loads(json.dumps(spec.describe())))
    assert again == spec
    assert register_map(again) == register_map(spec)


def test_another_layout_has_another_hash():
    maps = [register_map(WritableSpec(make())) for make in UNITS.values()]
    hashes = {registers.hash for registers in maps}
    assert len(hashes) == len(maps)
    assert all(0 <= number < 1 << 32 for number in hashes)
    renamed = replace(LINES, input=Format(True, 4, 2))
    assert register_map(WritableSpec(PwlSpec(renamed))).hash not in hashes


def test_flags(spec):
    wanted = () if not spec.longest else ("overlong", "holes")[: min(spec.lanes, 2)]
    assert register_map(spec).flags == wanted
    bits = register_map(spec).to_json()["registers"][2]["bits"]
    assert bits == {name: bit for bit, name in enumerate(("pending", *wanted))}


# The model.


@pytest.mark.parametrize("entries", [4, 5, 6, 16, 17])
def test_padding_keeps_the_function(entries):
    more = padded(LINES, entries)
    assert more.entries == entries
    assert (more.lookup(FORM.codes()) == LINES.lookup(FORM.codes())).all()


def test_padding_has_its_limits():
    with pytest.raises(UsageError, match=r"^a table must have at most 3 entries, not 4$"):
        padded(LINES, 3)
    with pytest.raises(UsageError, match=r"^a table of s4\.1 must have at most 17 entries$"):
        padded(LINES, 18)


def test_other_tables_give_other_results(spec):
    tables = random_tables(spec, random.Random(2))
    other = spec.with_tables(tables)
    size = spec.longest or 16
    codes = np.random.default_rng(0).choice(spec.input.codes(), (20, size))
    assert (other.compute(codes) != spec.compute(codes)).any()
    for name, table in other.tables():
        if name in tables and isinstance(table, PwlTable):
            given = tables[name]
            assert (table.lookup(table.input.codes()) == given.lookup(table.input.codes())).all()
        assert type(table) is type(dict(spec.tables())[name])
    assert spec.with_tables({}) == spec
    assert other.with_tables(dict(spec.written())) == spec


def test_it_is_like_the_unit(spec):
    unit = spec.unit
    for name in ("input", "output", "lanes", "mask", "user_bits", "longest"):
        assert getattr(spec, name) == getattr(unit, name)
    assert spec.latency_of(3) == unit.latency_of(3)
    assert spec.bare is unit.bare
    assert list(spec.tables()) == list(unit.tables())


def test_a_table_in_two_places_is_two_tables():
    shared = spec_of("gelu,tanh", 6, entries=4)
    same = replace(shared, functions=(shared.functions[0],) * 2)
    spec = WritableSpec(same)
    first, second = dict(spec.written())
    new = random_table(same.functions[0], random.Random(1))
    changed = dict(spec.with_tables({second: new}).written())
    assert changed[first] == same.functions[0]
    assert changed[second] != same.functions[0]


def test_what_cannot_be_written_is_refused():
    direct = spec_of("gelu", 6, arch="direct")
    with pytest.raises(UsageError, match=r"must have a table of lines .*a direct table cannot"):
        WritableSpec(direct)
    with pytest.raises(UsageError, match=r"^spec: writable\.unit must not be writable itself$"):
        WritableSpec(WritableSpec(PwlSpec(LINES)))


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"tabel": LINES}, r"^a table must be one of table, not 'tabel'$"),
        ({"table": DirectTable(FORM, FORM, tuple(range(-8, 8)))},
         r"^table table must be of kind pwl, not DirectTable$"),
        ({"table": replace(LINES, slope=Format(True, 6, 2))},
         r"^table table: slope must be the unit's, s5\.2, not s6\.2$"),
        ({"table": padded(LINES, 5)}, r"^table table: a table must have at most 4 entries, not 5$"),
    ],
)  # fmt: skip
def test_tables_that_do_not_fit_are_refused(lines, tables, message):
    with pytest.raises(UsageError, match=message):
        lines.with_tables(tables)


def test_a_direct_table_in_a_writable_unit_stays():
    spec = WritableSpec(norm_spec(bits=8, length=4, arch="direct", **affine(4)))
    assert [name for name, _ in spec.written()] == ["gamma", "beta"]
    with pytest.raises(UsageError, match=r"^a table must be one of gamma, beta, not 'mantissa'$"):
        spec.with_tables({"mantissa": dict(spec.tables())["mantissa"]})


# The header.


def compiled(folder, *words):
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler (cc)")
def test_the_header_writes_what_the_driver_writes(spec, tmp_path):
    registers = register_map(spec)
    (tmp_path / "unit_regs.h").write_text(header(registers, "unit"))
    tables = dict(spec.with_tables(random_tables(spec, random.Random(7))).written())
    lines = ['#include <stdio.h>', '#include "unit_regs.h"', '#include "unit_regs.h"',
             "static uint32_t memory[4096];", "int main(void) {", "    uint32_t i;"]  # fmt: skip
    for block in registers.blocks:
        arguments = []
        for array in block.arrays:
            name = f"{block.symbol}_{array.name}"
            values = getattr(tables[block.name], array.name)[: array.count]
            kind = f"{'' if array.format.signed else 'u'}int{32 * array.words}_t"
            lines.append(f"    static const {kind} {name}[] = {{{', '.join(map(str, values))}}};")
            arguments.append(name)
        lines.append(f"    unit_write_{block.symbol}(memory, {', '.join(arguments)});")
    lines += [
        "    unit_commit(memory);", "    memory[0] = UNIT_ID_VALUE; memory[1] = UNIT_MAP_VALUE;",
        "    if (!unit_identify(memory) || unit_pending(memory)) return 1;",
        "    memory[1] ^= 1u;", "    if (unit_identify(memory)) return 2;", "    memory[2] = 1u;",
        "    if (!unit_pending(memory)) return 3;",
        '    for (i = 3; i < 4096; i++) printf("%lu\\n", (unsigned long)memory[i]);',
        "    unit_clear(memory);", "    return memory[3] == 2u ? 0 : 4;", "}", "",
    ]  # fmt: skip
    (tmp_path / "main.c").write_text("\n".join(lines))
    done = compiled(tmp_path, "cc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror",
                    "main.c", "-o", "main")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    done = compiled(tmp_path, "./main")
    assert done.returncode == 0
    wanted = dict(driver_of(spec).writes({name: t.to_json() for name, t in tables.items()}))
    assert wanted[CONTROL] == 1
    found = {4 * at: int(word) for at, word in enumerate(done.stdout.split(), start=3)}
    assert {at: word for at, word in found.items() if word} == {
        at: word for at, word in wanted.items() if word
    }


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler (g++)")
def test_the_header_is_cxx_too(spec, tmp_path):
    (tmp_path / "unit_regs.h").write_text(header(register_map(spec), "unit"))
    (tmp_path / "main.cc").write_text('#include "unit_regs.h"\nint main() { return 0; }\n')
    done = compiled(tmp_path, "g++", "-std=c++11", "-pedantic", "-Wall", "-Wextra", "-Werror",
                    "-fsyntax-only", "main.cc")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_same_unit_gives_the_same_files(spec):
    files = files_of(register_map(spec), "unit")
    assert set(files) == {"unit_regs.h", "unit_driver.py"}
    again = spec_from_json(spec.describe())
    assert files_of(register_map(again), "unit") == files
    for text in files.values():
        assert b"/root" not in text
        assert b"/home" not in text


# The driver.


def held(spec, writes):
    """Return the unit after `writes`, by the register map alone."""
    memory, tables = dict(writes), {}
    for block in register_map(spec).blocks:
        arrays = {}
        for array in block.arrays:
            codes = []
            for at in range(array.count):
                start = array.address + 4 * array.words * at
                code = sum(memory[start + 4 * k] << 32 * k for k in range(array.words))
                if array.format.signed and code >> (32 * array.words - 1):
                    code -= 1 << 32 * array.words
                codes.append(code)
            arrays[array.name] = codes
        tables[block.name] = arrays
    return tables


def test_the_driver_writes_the_tables(spec, tmp_path):
    tables = random_tables(spec, random.Random(4))
    paths = {}
    for name, table in tables.items():
        paths[name] = tmp_path / f"{name}.json"
        save(table, paths[name])
    module = driver_of(spec)
    writes = module.writes(paths)
    assert writes == module.writes({name: str(path) for name, path in paths.items()})
    assert writes[-1] == (CONTROL, 1)
    assert len(dict(writes)) == len(writes)
    for name, arrays in held(spec, writes).items():
        table = tables[name]
        if isinstance(table, DirectTable):
            assert arrays["values"] == list(table.values[: spec.longest])
            listed = module.writes({name: list(table.values[: spec.longest])})
            assert set(listed) <= set(writes)
            continue
        # Every code finds its line among the padded ones.
        edges = np.array(arrays.get("breakpoints", []))
        for code in range(table.argument.min, table.argument.max + 1):
            at, own = int((code >= edges).sum()), int((code >= np.array(table.breakpoints)).sum())
            assert arrays["slopes"][at] == table.slopes[own]
            assert arrays["intercepts"][at] == table.intercepts[own]


GOOD = LINES.to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "direct"}, "must be a table file of kind pwl"),
        ({"input": "s4.2"}, "input must be s4.1, not s4.2"),
        ({"slope": None}, "slope must be s5.2, not None"),
        ({"fold": {"kind": "even", "magnitude": "u3.1"}}, "fold must be None, not {"),
        ({"slopes": [1, 2, 3, 4.0], "sha256": None}, "slopes must be a list of integers"),
        ({"slopes": [1, 2, 3, True], "sha256": None}, "slopes must be a list of integers"),
        ({"slopes": "1234", "sha256": None}, "slopes must be a list of integers"),
        ({"slopes": [1, 2, 3], "sha256": None},
         "must have as many intercepts as slopes, and one breakpoint less"),
        ({"slopes": [1] * 5, "intercepts": [1] * 5, "breakpoints": [-3, -2, 0, 1], "sha256": None},
         "must have 1 to 4 entries, not 5"),
        ({"slopes": [], "intercepts": [], "breakpoints": [], "sha256": None},
         "must have 1 to 4 entries, not 0"),
        ({"breakpoints": [-3, 2, 2], "sha256": None}, "breakpoints must ascend, not 2 before 2"),
        ({"breakpoints": [-3, 2, 8], "sha256": None}, "breakpoints[2] must be -8 to 7, not 8"),
        ({"slopes": [1, -17, 15, 0], "sha256": None}, "slopes[1] must be -16 to 15, not -17"),
        ({"intercepts": [0, 5, 512, 9], "sha256": None}, "intercepts[2] must be 0 to 511, not 512"),
        ({"slopes": [1, -16, 14, 0]}, "sha256 does not match the integers: the file was changed"),
    ],
)  # fmt: skip
def test_the_driver_refuses_what_the_unit_cannot_hold(lines, change, message):
    module = driver_of(lines)
    with pytest.raises(module.DriverError) as raised:
        module.writes({"table": GOOD | change})
    assert str(raised.value).startswith(f"table table: {message}")


def test_the_driver_reads_files_only_if_they_are_tables(lines, tmp_path):
    module = driver_of(lines)
    with pytest.raises(module.DriverError, match=r"none\.json cannot be read as a table: "):
        module.writes({"table": tmp_path / "none.json"})
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(module.DriverError, match=r"bad\.json cannot be read as a table: "):
        module.writes({"table": tmp_path / "bad.json"})
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(module.DriverError, match=r"^table table: must be a table file of kind pwl"):
        module.writes({"table": tmp_path / "list.json"})
    with pytest.raises(module.DriverError, match=r"^a table must be one of table, not 'other'$"):
        module.writes({"other": GOOD})


class Memory:
    """A unit's registers, as a bus sees them."""

    def __init__(self, registers, busy):
        self.words = {0: registers["id"], 4: registers["map"], 8: 0}
        self.busy, self.left, self.writes = busy, 0, []

    def write(self, address, word):
        assert self.left == 0, "written while a commit is pending"
        self.writes.append((address, word))
        if (address, word) == (CONTROL, 1):
            self.left = self.busy

    def read(self, address):
        if address == 8:
            pending, self.left = self.left > 0, max(self.left - 1, 0)
            return pending | self.words[8]
        return self.words[address]


def test_the_driver_drives(lines):
    module = driver_of(lines)
    memory = Memory(module.REGISTERS, busy=3)
    unit = module.Driver(memory.write, memory.read)
    unit.load({"table": GOOD})
    assert memory.writes == module.writes({"table": GOOD})
    assert unit.status() == {"pending": False}
    unit.clear()
    assert memory.writes[-1] == (CONTROL, 2)
    # Nothing is written of a wrong table, nor while a commit is pending.
    memory.writes.clear()
    with pytest.raises(module.DriverError):
        unit.load({"table": GOOD | {"slopes": [99] * 4}})
    memory.left = 5
    with pytest.raises(module.DriverError, match=r"^a commit is still pending after 4 reads"):
        unit.load({"table": GOOD}, polls=4)
    assert memory.writes == []


@pytest.mark.parametrize(("address", "name"), [(0, "ID"), (4, "MAP")])
def test_the_driver_refuses_another_unit(lines, address, name):
    module = driver_of(lines)
    memory = Memory(module.REGISTERS, busy=0)
    memory.words[address] ^= 1
    with pytest.raises(module.DriverError, match=rf"^the unit's {name} must be 0x\w+, not 0x\w+$"):
        module.Driver(memory.write, memory.read)


def test_the_driver_needs_the_standard_library_only(lines):
    text = driver(register_map(lines), "unit")
    imported = {line.split()[1].split(".")[0] for line in text.splitlines()
                if line.startswith(("import ", "from "))}  # fmt: skip
    assert imported == {"collections", "hashlib", "itertools", "json", "pathlib", "typing"}
    assert text.startswith('"""Driver of unit: ')
