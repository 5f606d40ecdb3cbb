"""Histograms of arguments: the file, the density, and the stand-ins."""

import math

import numpy as np
import pytest

from nnlut_train.errors import UsageError
from nnlut_train.histograms import ROW, STAND_INS, Histogram
from nnlut_train.protocol import CASES

EDGES = np.array([-1.0, 0.0, 0.5, 2.5])
COUNTS = np.array([4, 6, 0])


def test_a_file_holds_what_numpy_counted(tmp_path):
    x = np.random.default_rng(0).normal(size=1000)
    counts, edges = np.histogram(x, bins=20)
    np.savez(tmp_path / "h.npz", counts=counts, edges=edges)
    found = Histogram.load(tmp_path / "h.npz")
    np.testing.assert_array_equal(found.edges, edges)
    np.testing.assert_array_equal(found.counts, counts)
    assert found.counts.dtype == np.float64


def test_weights_are_counts_a_unit_of_width():
    x = np.array([[-1.1, -1.0, -0.3], [0.0, 0.499, 0.5], [2.5, 2.6, np.inf]])
    want = [[0.0, 4.0, 4.0], [12.0, 12.0, 0.0], [0.0, 0.0, 0.0]]
    np.testing.assert_array_equal(Histogram(EDGES, COUNTS).weights(x), want)


def test_the_last_bin_holds_its_right_edge():
    assert Histogram(np.array([0.0, 2.0]), np.array([3.0])).weights(np.array([2.0])) == [1.5]


def test_the_codes_in_a_bin_share_its_count():
    x = np.arange(-64, 32) / 64
    weights = Histogram(EDGES, COUNTS).weights(x) / 64
    assert weights[x < 0].sum() == pytest.approx(4)
    assert weights[x >= 0].sum() == pytest.approx(6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"edges": EDGES}, "counts is missing"),
        ({"counts": COUNTS}, "edges is missing"),
        ({"edges": EDGES, "counts": COUNTS[:2]}, "one more than counts"),
        ({"edges": EDGES[:1], "counts": COUNTS[:0]}, "at least 1"),
        ({"edges": EDGES[::-1], "counts": COUNTS}, "ascend strictly"),
        ({"edges": EDGES * np.nan, "counts": COUNTS}, "edges must be finite"),
        ({"edges": EDGES, "counts": [np.inf, 1, 1]}, "counts must be f"),
        ({"edges": EDGES, "counts": -COUNTS}, ">= 0"),
        ({"edges": EDGES, "counts": 0 * COUNTS}, "not all zero"),
        ({"edges": EDGES, "counts": ["1", "2", "3"]}, "real numbers"),
        ({"edges": EDGES, "counts": COUNTS[None]}, "real numbers"),
        ({"edges": EDGES + 1j, "counts": COUNTS}, "real numbers"),
        ({"edges": EDGES, "counts": np.array([1, {}, 2], dtype=object)}, "without objects"),
    ],
)
def test_wrong_contents_are_one_line_that_names_the_file(tmp_path, arrays, message):
    path = tmp_path / "wrong.npz"
    np.savez(path, **arrays)
    with pytest.raises(UsageError, match=message) as caught:
        Histogram.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"hello, world", b"\x93NUMPY\x01\x00"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "wrong.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"wrong\.npz: (must be|cannot be read)"):
        Histogram.load(path)


def test_a_damaged_archive_is_refused(tmp_path):
    path = tmp_path / "h.npz"
    np.savez_compressed(path, edges=np.linspace(0, 1, 2001), counts=np.arange(2000))
    data = bytearray(path.read_bytes())
    data[200:600] = bytes(400)
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"must be \.npz"):
        Histogram.load(path)


def test_a_single_array_or_no_file_is_refused(tmp_path):
    np.save(tmp_path / "one.npy", EDGES)
    with pytest.raises(UsageError, match=r"not \.npy"):
        Histogram.load(tmp_path / "one.npy")
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        Histogram.load(tmp_path / "none.npz")


@pytest.mark.parametrize("name", CASES)
def test_every_function_has_a_stand_in_on_its_range(name):
    low, high = CASES[name].function.domain
    density = STAND_INS[name].density(np.arange(low, high, 0.01))
    assert np.isfinite(density).all()
    assert (density >= 0).all()
    assert density.max() > 0


def test_the_stand_in_for_exp_is_the_distance_from_the_maximum():
    x = np.linspace(-10, 0, 2001)
    density = STAND_INS["exp"].density(x)
    total = np.trapezoid(density, x)
    # All but one of the logits in a row are not the maximum.
    assert total == pytest.approx((ROW - 1) / ROW, abs=0.002)
    rows = np.random.default_rng(1).normal(size=(20000, ROW))
    mean = (rows - rows.max(axis=1, keepdims=True)).sum() / (len(rows) * (ROW - 1))
    assert np.trapezoid(density * x, x) / total == pytest.approx(mean, abs=0.01)
    assert STAND_INS["exp"].density(np.array([0.5])) == [0.0]


def test_the_stand_ins_of_mantissas_weigh_octaves_alike():
    x = np.array([0.5, 1.0, 2.0])
    density = STAND_INS["rsqrt"].density(x) * x
    assert density.tolist() == [1.0, 1.0, 1.0]
    assert STAND_INS["gelu"].density(np.zeros(1))[0] == pytest.approx(1 / math.sqrt(2 * math.pi))
