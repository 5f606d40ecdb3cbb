import gc
import io
import zipfile

import numpy as np
import pytest

from hw.design import design
from hw.request import Request
from nnlut_train.errors import UsageError
from sim.vectors import Vectors, load_vectors, make_vectors


def spec_of(op, bits=8, arch="pwl", **options):
    return design(Request(op, bits, arch=arch, **options), arch)


@pytest.fixture
def spec():
    return spec_of("softmax", length=6)


def equal(a, b):
    pairs = zip(a.arrays().items(), b.arrays().items(), strict=True)
    return all(x == y and (v == w).all() for (x, v), (y, w) in pairs)


def archive(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def test_vectors_hold_rows_and_their_results(spec):
    vectors = make_vectors(spec)
    results = iter(zip(vectors.output.tolist(), vectors.output_last.tolist(), strict=True))
    lengths = []
    for row in vectors.rows():
        lengths.append(len(row))
        for start in range(0, len(row), 6):
            part = spec.compute(row[start : start + 6]).tolist()
            for position, code in enumerate(part):
                assert next(results) == (code, position == len(part) - 1)
    assert next(results, None) is None
    assert len(vectors.input) == len(vectors.output) == sum(lengths)
    # One row is too long, and comes out as two.
    assert lengths.count(7) == 1
    assert max(lengths) == 7
    assert vectors.output_last.sum() == vectors.input_last.sum() + 1
    assert {1, 6} < set(lengths)


def test_vectors_of_a_unary_unit_hold_every_code():
    spec = spec_of("exp", 10)
    vectors = make_vectors(spec)
    assert set(vectors.input.tolist()) == set(spec.input.codes().tolist())
    assert vectors.output.tolist() == spec.compute(vectors.input).tolist()
    assert (vectors.output_last == vectors.input_last).all()
    assert vectors.input_last[-1]


def test_vectors_depend_on_the_seed_alone(spec):
    first, again, other = (make_vectors(spec, seed) for seed in (1, 1, 2))
    assert first.files((8, 8)) == again.files((8, 8))
    assert not equal(first, other) if len(first.input) == len(other.input) else True
    assert first.files((8, 8)) != other.files((8, 8))


def test_rows_put_together_are_the_input(spec):
    vectors = make_vectors(spec)
    rows = vectors.rows()
    assert np.concatenate(rows).tolist() == vectors.input.tolist()
    ends = [end for row in rows for end in [False] * (len(row) - 1) + [True]]
    assert ends == vectors.input_last.tolist()


def test_npz_round_trip(spec, tmp_path):
    vectors = make_vectors(spec)
    path = tmp_path / "vectors.npz"
    path.write_bytes(vectors.files((8, 8))["vectors.npz"])
    again = load_vectors(path)
    assert equal(again, vectors)
    assert again.input.dtype == np.int64
    assert again.input_last.dtype == np.bool_


@pytest.mark.parametrize(
    ("op", "bits", "widths", "digits"),
    [("gelu", 8, (8, 8), 3), ("exp", 12, (16, 16), 5), ("gelu", 6, (8, 8), 3),
     ("tanh", 8, (11, 3), 3)],
)  # fmt: skip
def test_hex_lines_are_beats(op, bits, widths, digits):
    spec = spec_of(op, bits)
    vectors = make_vectors(spec)
    files = vectors.files(widths)
    assert sorted(files) == ["input.hex", "output.hex", "vectors.npz"]
    for name, width, codes, last in (
        ("input.hex", widths[0], vectors.input, vectors.input_last),
        ("output.hex", widths[1], vectors.output, vectors.output_last),
    ):
        text = files[name].decode("ascii")
        assert text.endswith("\n")
        lines = text.splitlines()
        if name == "input.hex":
            assert {len(line) for line in lines} == {digits}
        words = [int(line, 16) for line in lines]
        assert [word >> width for word in words] == last.tolist()
        assert [word % (1 << width) for word in words] == [c % (1 << width) for c in codes.tolist()]
    if spec.input.signed and widths[0] >= spec.input.bits:
        # Sign-extended to the whole width of tdata.
        words = [int(line, 16) % (1 << widths[0]) for line in files["input.hex"].splitlines()]
        signed = [word - (1 << widths[0]) * (word >> (widths[0] - 1)) for word in words]
        assert signed == vectors.input.tolist()


def test_hex_of_known_beats():
    vectors = Vectors(
        np.array([-1, 5, -128]), np.array([False, True, True]),
        np.array([255, 0, 1]), np.array([False, True, True]),
    )  # fmt: skip
    files = vectors.files((8, 8))
    assert files["input.hex"] == b"0ff\n105\n180\n"
    assert files["output.hex"] == b"0ff\n100\n101\n"
    # tlast takes a digit of its own only where the others are full.
    assert vectors.files((7, 8))["input.hex"] == b"7f\n85\n80\n"


GOOD = {
    "input": np.arange(3), "input_last": np.array([False, False, True]),
    "output": np.arange(3), "output_last": np.array([False, False, True]),
}  # fmt: skip
PICKLED = np.array([1, None, "x"], dtype=object)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def foreign_zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as folder:
        folder.writestr("readme.txt", "no vectors")
    return file.getvalue()


def test_good_arrays_load(tmp_path):
    path = tmp_path / "v.npz"
    path.write_bytes(archive(**GOOD))
    assert equal(load_vectors(path), Vectors(**GOOD))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"not an archive at all" * 20, ""),
        (b"", "it is no .npy file"),
        (foreign_zip(), ""),
        (npy(np.arange(3)), ""),
        (npy(PICKLED), "it has objects, which could run code when they are read"),
        (archive(**GOOD | {"input": PICKLED}),
         "it has objects, which could run code when they are read"),
        (archive(input=np.arange(3)), "it has input"),
        (archive(**GOOD, more=np.arange(3)), "it has input, input_last, more, output, output_last"),
        (archive(**GOOD | {"output": np.arange(4)}), "output has 4 beats, not 3"),
        (archive(**GOOD | {"input_last": np.zeros(3, bool)}),
         "input_last does not end with a row's end"),
        (archive(**{name: array[:0] for name, array in GOOD.items()}), ""),
    ],
)  # fmt: skip
def test_what_is_no_vectors_is_told(tmp_path, content, why):
    path = tmp_path / "v.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        load_vectors(path)
    assert str(raised.value).startswith(f"{path}: must be test vectors of hw.build: ")
    assert why in str(raised.value)


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    missing = tmp_path / "none.npz"
    with pytest.raises(UsageError, match=r"must be test vectors of hw.build: .*No such file"):
        load_vectors(missing)
    with pytest.raises(UsageError, match=r"must be test vectors of hw\.build"):
        load_vectors(tmp_path)


def flipped(content):
    changed = bytearray(content)
    changed[200] ^= 1  # in the data of the first array, under its check sum
    return bytes(changed)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(archive(**GOOD)[:300], id="truncated"),
        pytest.param(flipped(archive(**GOOD | {"input": np.arange(3)})), id="flipped bit"),
        pytest.param(archive(**{n: a[0] for n, a in GOOD.items()}), id="scalars"),
        pytest.param(archive(**{n: a[None] for n, a in GOOD.items()}), id="matrices"),
        pytest.param(archive(**GOOD | {"input": np.arange(3) / 2}), id="real numbers"),
        pytest.param(archive(**GOOD | {"input": np.array(["a", "b", "c"])}), id="text"),
    ],
)
def test_damaged_archives_are_told(tmp_path, content):
    path = tmp_path / "v.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"must be test vectors of hw\.build"):
        load_vectors(path)
    gc.collect()  # a file left open would warn here


@pytest.mark.parametrize("op", ["gelu", "gelu,exp", "softmax", "rmsnorm"])
def test_vectors_of_several_lanes_have_holes(op):
    options = {} if "gelu" in op else {"length": 8}
    bits = 8 if op == "rmsnorm" else 4
    request = Request(op, bits, entries=2, lanes=2, **options)
    spec = design(request, "pwl")
    vectors = make_vectors(spec)
    keep = vectors.input_keep
    assert keep.shape == vectors.input.shape == (len(vectors.input_last), 2)
    assert (~keep.all(axis=1) & ~vectors.input_last).sum() > 5, "before a row's last beat"
    assert (keep == vectors.output_keep).all()
    assert not vectors.input[~keep].any()
    assert (vectors.input_user is None) == (op != "gelu,exp")
