"""The generated driver of writable units: what it writes, and what it refuses."""

import random
from pathlib import Path

import numpy as np
import pytest
from faults import spec_of
from writables import LINES, UNITS
from writing import driver_of

from nnlut_train import __main__ as cli
from nnlut_train.files import load, save
from nnlut_train.tables import DirectTable
from sim.golden import PwlSpec, WritableSpec
from sim.golden.register_files import driver
from sim.golden.register_map import CONTROL, register_map
from sim.random_tables import random_tables

DOCS = Path(__file__).parents[2] / "docs" / "writable.md"


@pytest.fixture(scope="module", params=UNITS)
def spec(request):
    return WritableSpec(UNITS[request.param]())


@pytest.fixture(scope="module")
def lines():
    return WritableSpec(PwlSpec(LINES))


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


def test_the_driver_loads_what_fit_made_for_the_unit(tmp_path):
    # The example of docs/writable.md.
    spec = WritableSpec(spec_of("gelu", fold="none"))
    path = tmp_path / "silu.json"
    words = DOCS.read_text().split("python -m nnlut_train fit")[1].split("```")[0]
    words = words.replace("\\\n", " ").replace("silu.json", str(path)).split()
    assert cli.main(["fit", *words]) == 0
    module = driver_of(spec)
    assert len(module.writes({"table": path})) == 15 + 16 + 16 + 1
    silu = spec.with_tables({"table": load(path)})
    x = spec.input.real(spec.input.codes())
    error = silu.output.real(silu.compute(spec.input.codes())) - x / (1 + np.exp(-x))
    assert np.abs(np.clip(error, -0.5, 0.5)).max() < silu.output.scale


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
    memory.left = 10**9
    with pytest.raises(
        module.DriverError,
        match=r"^a commit is still pending after 0\.05 s: the row that has begun",
    ):
        unit.load({"table": GOOD}, timeout=0.05)
    assert memory.writes == []
    # STATUS is read at least once.
    memory.left = 0
    unit.wait(timeout=0)


def test_the_driver_waits_for_time_not_for_reads(lines, monkeypatch):
    module = driver_of(lines)
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    memory = Memory(module.REGISTERS, busy=50_000)

    def read(address):
        now[0] += 1e-4
        return memory.read(address)

    unit = module.Driver(memory.write, read)
    unit.load({"table": GOOD})
    assert memory.left == 0
    assert 5.0 < now[0] < module.TIMEOUT
    memory.left = 10**9
    begin = now[0]
    with pytest.raises(module.DriverError, match="still pending after 10 s"):
        unit.load({"table": GOOD})
    assert now[0] - begin == pytest.approx(module.TIMEOUT, abs=1e-3)


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
    assert imported == {"collections", "hashlib", "itertools", "json", "pathlib", "time", "typing"}
    assert text.startswith('"""Driver of unit: ')
