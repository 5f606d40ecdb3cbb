"""Tables, their files and their lookup."""

import dataclasses
import itertools
import json
import math
import os
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlut_train.errors import UsageError
from nnlut_train.files import dump, from_json, load, save
from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable, PwlTable

S4, U4, S6 = Format(True, 4, 2), Format(False, 4, 2), Format(True, 6, 4)
DIRECT = DirectTable(
    Format(True, 2, 0), U4, (0, 15, 7, 1), {"function": "f", "domain": [-8, 8], "cost": 0.25}
)
PWL = PwlTable(
    S4, S6, Format(True, 5, 3), Format(True, 7, 4), (-3, 0, 5), (1, -16, 15, 0), (0, 63, -64, 9),
    {"function": "g", "seed": 3},
)  # fmt: skip
BOTH = pytest.mark.parametrize("table", [DIRECT, PWL], ids=["direct", "pwl"])


def naive_pwl(table, code):
    """One code by rational arithmetic, from the formats' meaning."""
    i = 0
    for breakpoint_code in table.breakpoints:
        if code >= breakpoint_code:
            i += 1
    value = Fraction(table.slopes[i] * code) / Fraction(2) ** (table.slope.frac + table.input.frac)
    value += Fraction(table.intercepts[i]) / Fraction(2) ** table.intercept.frac
    rounded = math.floor(value * Fraction(2) ** table.output.frac + Fraction(1, 2))
    return min(max(rounded, table.output.min), table.output.max)


@st.composite
def pwl_tables(draw):
    inputs = Format(draw(st.booleans()), draw(st.integers(1, 6)), draw(st.integers(-2, 6)))
    slope = Format(draw(st.booleans()), draw(st.integers(1, 12)), draw(st.integers(-2, 8)))
    product = inputs.frac + slope.frac
    intercept = Format(
        draw(st.booleans()), draw(st.integers(1, 12)), product - draw(st.integers(0, 8))
    )
    output = Format(
        draw(st.booleans()), draw(st.integers(1, 12)), product - draw(st.integers(0, 9))
    )
    codes = st.integers(inputs.min, inputs.max)
    breakpoints = sorted(draw(st.sets(codes, max_size=min(6, 1 << inputs.bits))))
    count = len(breakpoints) + 1
    coefficients = [
        draw(st.lists(st.integers(f.min, f.max), min_size=count, max_size=count))
        for f in (slope, intercept)
    ]
    return PwlTable(inputs, output, slope, intercept, breakpoints, *coefficients)


@given(pwl_tables())
def test_pwl_lookup_is_exact(table):
    codes = table.input.codes()
    assert table.lookup(codes).tolist() == [naive_pwl(table, code) for code in codes.tolist()]


@given(pwl_tables())
def test_pwl_json_round_trip(table):
    again = from_json(json.loads(dump(table.to_json())))
    assert again == table
    assert again.sha256 == table.sha256


def test_a_tie_belongs_to_the_segment_on_the_right():
    assert PWL.segment(np.array([-8, -4, -3, -2, -1, 0, 4, 5, 7])).tolist() == [
        0, 0, 1, 1, 1, 2, 2, 3, 3
    ]  # fmt: skip
    # Segments 2 and 3 at the breakpoint 5: the constant 9/16, not 15/8 * 5/4 - 4.
    assert PWL.lookup(np.array(5)) == 9


def test_lookup_keeps_the_shape():
    codes = np.array([[-2, -1], [0, 1]])
    assert DIRECT.lookup(codes).tolist() == [[0, 15], [7, 1]]
    assert PWL.lookup(codes).shape == (2, 2)


def test_one_segment():
    table = PwlTable(S4, S4, Format(True, 2, 0), S4, (), (1,), (0,))
    assert table.lookup(S4.codes()).tolist() == S4.codes().tolist()
    assert (table.entries, table.storage_bits) == (1, 6)


def test_shifts_and_storage():
    assert (PWL.entries, PWL.align, PWL.shift) == (4, 1, 1)
    assert PWL.storage_bits == 3 * 4 + 4 * (5 + 7)
    assert DIRECT.storage_bits == 4 * 4


def test_integers_may_come_as_an_array():
    table = dataclasses.replace(DIRECT, values=np.array([0, 15, 7, 1]))
    assert table == DIRECT
    assert all(type(value) is int for value in table.values)


@BOTH
def test_file_round_trip(tmp_path, table):
    path = tmp_path / "new" / "table.json"
    save(table, path)
    again = load(path)
    assert again == table
    assert again.meta == table.meta
    assert path.read_bytes() == dump(table.to_json())
    assert [p.name for p in path.parent.iterdir()] == ["table.json"]
    assert load(str(path)) == table


def test_meta_is_no_part_of_hash_or_equality():
    other = dataclasses.replace(PWL, meta={})
    assert other == PWL
    assert other.sha256 == PWL.sha256
    assert other.to_json() != PWL.to_json()


@BOTH
def test_hash_depends_on_every_integer_and_format(table):
    hashes = {table.sha256}
    count = 1
    for name in table._integer_fields:
        values = getattr(table, name)
        for position, value in enumerate(values):
            for other in (value - 1, value + 1):
                changed = (*values[:position], other, *values[position + 1 :])
                try:
                    hashes.add(dataclasses.replace(table, **{name: changed}).sha256)
                except UsageError:
                    continue  # out of range
                count += 1
    for name in table._format_names(table.fold is not None):
        form = getattr(table, name)
        for other in (
            Format(not form.signed, form.bits + 1, form.frac),
            Format(form.signed, form.bits + 1, form.frac),
            Format(form.signed, form.bits, form.frac - 1),
        ):
            # Not folded, a direct table's values are output codes.
            change = {name: other} | (
                {"value": other} if table is DIRECT and name == "output" else {}
            )
            try:
                hashes.add(dataclasses.replace(table, **change).sha256)
            except UsageError:
                continue  # a table of other size, sign or shift
            count += 1
    assert len(hashes) == count
    assert count >= 11


def test_hash_tells_the_kinds_of_tables_apart():
    assert len(PWL.sha256) == 64
    assert PWL.sha256 != DIRECT.sha256


@BOTH
def test_a_changed_integer_in_a_file_is_detected(tmp_path, table):
    for name in table._integer_fields:
        data = table.to_json()
        data[name][-1] -= 1
        path = tmp_path / "table.json"
        path.write_text(json.dumps(data))
        message = r"table\.json: table: sha256 does not match the integers: the file was changed$"
        with pytest.raises(UsageError, match=message):
            load(path)


@BOTH
def test_any_change_of_meta_in_a_file_is_detected(tmp_path, table):
    path = tmp_path / "table.json"
    for change in ({"function": "h"}, {"function": None}, {"new": 0}, {"seed": 3.0}):
        data = table.to_json()
        data["meta"] = data["meta"] | change
        path.write_text(json.dumps(data))
        # The integers are still those that the hash is of.
        assert data["sha256"] == table.sha256
        message = r"table\.json: table: checksum does not match the contents: the file was changed$"
        with pytest.raises(UsageError, match=message):
            load(path)


@BOTH
def test_the_checksum_does_not_depend_on_how_a_file_is_laid_out(tmp_path, table):
    path = tmp_path / "table.json"
    path.write_text(json.dumps(dict(reversed(table.to_json().items())), indent=3))
    assert load(path) == table


@BOTH
def test_a_changed_format_in_a_file_is_detected(table):
    data = table.to_json() | {"output": str(Format(True, 7, table.output.frac))}
    with pytest.raises(UsageError, match=r"^table: sha256 does not match the integers"):
        from_json(data)


@BOTH
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "spline"}, r"^table: kind must be one of direct, pwl, .*multipartite"),
        ({"kind": None}, r"^table: kind must be one of direct, pwl, .*multipartite"),
        ({"schema": 1}, r"^table: schema must be 2, not 1$"),
        ({"schema": None}, r"^table: schema must be 2, not None$"),
        ({"sha256": "0" * 64}, r"^table: sha256 does not match the integers: the file was "),
        ({"comment": 1, "x": 2}, r"^table: unknown field 'comment'$"),
        ({"meta": [1]}, r"^table: meta must be an object$"),
        ({"meta": {}}, r"^table: checksum does not match the contents: the file was changed$"),
        ({"checksum": "0" * 64}, r"^table: checksum does not match the contents: the file was "),
        ({"checksum": None}, r"^table: checksum does not match the contents: the file was "),
        ({"input": "s4"}, r"^a format must read like s8\.4 .*, not 's4'$"),
        ({"output": 8}, r"^a format must read like s8\.4 .*, not 8$"),
        ({"output": "u49.0"}, r"^a format's width must be 1 to 48 bits, not 49$"),
    ],
)
def test_wrong_fields(table, change, message):
    with pytest.raises(UsageError, match=message):
        from_json(table.to_json() | change)


@BOTH
def test_missing_fields(table):
    for name in table.to_json().keys() - {"kind", "schema"}:
        data = table.to_json()
        del data[name]
        with pytest.raises(UsageError, match=rf"^table: {name} is missing$"):
            from_json(data)
    for name, message in (
        ("kind", "kind must be one of"),
        ("schema", "schema must be 2, not None"),
    ):
        data = table.to_json()
        del data[name]
        with pytest.raises(UsageError, match=rf"^table: {message}"):
            from_json(data)


@pytest.mark.parametrize("data", [None, 1, "direct", [], [DIRECT.to_json()]])
def test_no_object(data):
    with pytest.raises(
        UsageError, match=r"^table: kind must be one of direct, pwl, .*multipartite"
    ):
        from_json(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": (0, 1, 2)}, r"^table: values must have 4 values, not 3$"),
        ({"values": (0, 1, 2, 16)}, r"^table: values\[3\] must be 0 to 15, not 16$"),
        ({"values": (0, -1, 2, 3)}, r"^table: values\[1\] must be 0 to 15, not -1$"),
        ({"values": (0, 1, 2, 3.0)}, r"^table: values must be a list of integers$"),
        ({"values": (0, 1, 2, True)}, r"^table: values must be a list of integers$"),
        ({"values": np.array([0.0, 1, 2, 3])}, r"^table: values must be a list of integers$"),
        ({"values": "0123"}, r"^table: values must be a list of integers$"),
        ({"values": None}, r"^table: values must be a list of integers$"),
        ({"input": Format(True, 3, 0)}, r"^table: values must have 8 values, not 4$"),
    ],
)
def test_wrong_direct_tables(change, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(DIRECT, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slopes": ()}, r"^table: slopes must be a list of at least 1 integer$"),
        ({"slopes": (1, 2, 3)}, r"^table: breakpoints must have 2 values, not 3$"),
        ({"breakpoints": (0, 1)}, r"^table: breakpoints must have 3 values, not 2$"),
        ({"breakpoints": (-9, 0, 5)}, r"^table: breakpoints\[0\] must be -8 to 7, not -9$"),
        ({"breakpoints": (0, 5, 8)}, r"^table: breakpoints\[2\] must be -8 to 7, not 8$"),
        ({"breakpoints": (0, 5, 5)}, r"^table: breakpoints must ascend, not 5 before 5$"),
        ({"breakpoints": (1, 0, 5)}, r"^table: breakpoints must ascend, not 1 before 0$"),
        ({"breakpoints": (0, 1.0, 5)}, r"^table: breakpoints must be a list of integers$"),
        ({"slopes": (1, -17, 2, 3)}, r"^table: slopes\[1\] must be -16 to 15, not -17$"),
        ({"slopes": (1, None, 2, 3)}, r"^table: slopes must be a list of integers$"),
        ({"intercepts": (0, 0, 0)}, r"^table: intercepts must have 4 values, not 3$"),
        ({"intercepts": (0, 0, 0, 64)}, r"^table: intercepts\[3\] must be -64 to 63, not 64$"),
        ({"intercept": Format(True, 7, 6)},
         r"^table: slope s5\.3 times input s4\.2 must have at least as many fraction bits as "
         r"intercept s7\.6$"),
        ({"output": Format(True, 6, 6)},
         r"^table: slope s5\.3 times input s4\.2 must have at least as many fraction bits as "
         r"output s6\.6$"),
    ],
)  # fmt: skip
def test_wrong_pwl_tables(change, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(PWL, **change)


def test_shifts_of_zero_are_allowed():
    table = dataclasses.replace(PWL, intercept=Format(True, 7, 5), output=Format(True, 6, 5))
    assert (table.align, table.shift) == (0, 0)
    assert table.lookup(S4.codes()).tolist() == [naive_pwl(table, c) for c in range(-8, 8)]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "must be JSON: Expecting value"),
        (b"{", "must be JSON: Expecting property name"),
        (b"\xff\xfe", "must be JSON: 'utf-8' codec"),
        (b"[" * 100_000, "must be JSON: "),
        (b"[]", "table: kind must be one of"),
    ],
)
def test_files_that_are_no_tables(tmp_path, content, why):
    path = tmp_path / "wrong.json"
    path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: {why}")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError) as error:
        load(tmp_path / "missing.json")
    assert str(error.value) == f"{tmp_path / 'missing.json'}: cannot be read: {os.strerror(2)}"
    with pytest.raises(UsageError, match=r": cannot be read: Is a directory$"):
        load(tmp_path)


def test_a_failing_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "table.json"
    save(DIRECT, path)
    before = path.read_bytes()

    def broken(*_):
        raise OSError("disk full")

    for target in ("nnlut_train.files.dump", "nnlut_train.files.os.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(target, broken)
            with pytest.raises(OSError, match="disk full"):
                save(PWL, path)
        assert path.read_bytes() == before
        assert [p.name for p in tmp_path.iterdir()] == ["table.json"]
    save(PWL, path)
    assert load(path) == PWL


def test_a_reader_never_sees_half_a_file(tmp_path, monkeypatch):
    path = tmp_path / "table.json"
    save(DIRECT, path)
    replace = os.replace

    def watch(source, target):
        # All is written when the name changes, and the old file was whole until then.
        assert load(target) == DIRECT
        assert load(source) == PWL
        replace(source, target)

    monkeypatch.setattr("nnlut_train.files.os.replace", watch)
    save(PWL, path)
    assert load(path) == PWL


def test_text_of_a_file_has_a_line_for_each_field():
    lines = dump(PWL.to_json()).decode().splitlines()
    names = [line.split('"')[1] for line in lines[1:-1]]
    assert names == sorted(PWL.to_json())
    assert all(a < b for a, b in itertools.pairwise(names))


def test_arrays_are_taken_for_every_list():
    lists = dataclasses.replace(PWL, breakpoints=(0,), slopes=(1, 2), intercepts=(3, 4))
    arrays = dataclasses.replace(
        PWL, breakpoints=np.array([0]), slopes=np.array([1, 2]), intercepts=np.array([3, 4])
    )
    assert arrays == lists
