"""The registers of writable units: the map, the C header, and the model behind them."""

import json
import random
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from faults import spec_of
from norms import affine, norm_spec
from writables import FORM, LINES, UNITS
from writing import driver_of

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable, PwlTable
from sim.golden import PwlSpec, WritableSpec, spec_from_json
from sim.golden.register_files import files_of, header
from sim.golden.register_map import CONTROL, register_map
from sim.golden.writable import padded
from sim.random_tables import random_table, random_tables


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
