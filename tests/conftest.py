"""What all tests share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Workers that share the cores would have as many threads as cores each, which wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A failing assertion there tells the values, as in a test.
pytest.register_assert_rewrite("benching", "building", "faults", "judge", "writing")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep fitted tables apart from the user's: a stale one must not pass a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NNLUT_CACHE", str(tmp_path_factory.mktemp("tables")))
        yield


@pytest.fixture(scope="session")
def warm_cache(tmp_path_factory):
    """Return the cache that the tests of builds share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def own_folder(tmp_path, monkeypatch, warm_cache):
    """Work in an empty folder, and leave no logs elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NNLUT_CACHE", str(warm_cache))
    logs = tmp_path / ".logs"
    logs.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(logs))


@pytest.fixture
def no_yosys(monkeypatch):
    """Builds without what gates cost: most of their time."""
    from hw import build
    from hw.cost import AsicCost

    def synthesize(verilog, top, target, **_):
        assert f"module {top}(" in verilog
        return AsicCost(top, target, "none", "flip-flops", {}, 0, 1.0, 1.0, 0.0, "GE", ())

    monkeypatch.setattr(build, "synthesize", synthesize)


@pytest.fixture(scope="session")
def gelu(tmp_path_factory, warm_cache):
    """The build of the 8-bit GELU by a direct table, and what it printed."""
    folder = tmp_path_factory.mktemp("gelu") / "built"
    words = ["--op", "gelu", "--bits", "8", "--arch", "direct", "--out", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "hw.build", *words], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "NNLUT_CACHE": str(warm_cache)}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return folder, done.stdout
