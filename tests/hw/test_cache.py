import json
import threading

import pytest

from hw import cache
from nnlut_train.errors import UsageError

KEY = {"result": "test 1", "design": "x", "seed": 3}


@pytest.fixture
def made():
    """Return a maker and how often it was called."""
    calls = []

    def make():
        calls.append(1)
        return {"cost": [1, 2.5, None], "number": len(calls)}

    make.calls = calls
    return make


def test_result_is_made_once_and_comes_back_equal(tmp_path, made):
    with cache.use(tmp_path / "new" / "folder"):
        first = cache.cached(KEY, made)
        assert cache.cached(dict(reversed(KEY.items())), made) == first
        assert cache.cached({**KEY, "seed": 4}, made) != first
    assert len(made.calls) == 2
    with cache.use(tmp_path / "new" / "folder"):
        assert cache.cached(KEY, made) == first
    assert len(made.calls) == 2
    assert not list((tmp_path / "new" / "folder").glob(".entry*"))


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch, made):
    monkeypatch.setenv("NNLUT_CACHE", str(tmp_path / "kept"))
    assert cache.folder() is None
    cache.cached(KEY, made)
    with cache.use(None):
        cache.cached(KEY, made)
    assert len(made.calls) == 2
    assert not (tmp_path / "kept").exists()


def test_result_went_through_json_both_ways(tmp_path):
    with cache.use(tmp_path):
        values = [cache.cached(KEY, lambda: {"pair": (1, 2)}) for _ in range(2)]
    assert values == [{"pair": [1, 2]}] * 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[:-9],
        lambda text: "[1]",
        lambda text: json.dumps({**json.loads(text), "key": "other"}),
        lambda text: json.dumps({**json.loads(text), "value": '{"number": 7}'}),
        lambda text: json.dumps({**json.loads(text), "value": 7}),
    ],
)
def test_spoilt_entry_is_made_anew_and_written_again(tmp_path, made, spoil):
    with cache.use(tmp_path):
        cache.cached(KEY, made)
        (path,) = tmp_path.iterdir()
        whole = path.read_text()
        path.write_text(spoil(whole))
        assert cache.cached(KEY, made)["number"] == 2
        assert cache.cached(KEY, made)["number"] == 2
    assert len(made.calls) == 2


def test_failed_result_is_not_kept(tmp_path, made):
    def fail():
        raise RuntimeError

    with cache.use(tmp_path):
        with pytest.raises(RuntimeError):
            cache.cached(KEY, fail)
        assert not list(tmp_path.iterdir())
        assert cache.cached(KEY, made)["number"] == 1


def test_several_writers_leave_a_whole_entry(tmp_path):
    value = {"text": "x" * 100_000}
    wrong = []

    def work():
        with cache.use(tmp_path):
            for _ in range(20):
                if cache.cached(KEY, lambda: value) != value:
                    wrong.append(1)
                # So that it is made again, by whoever comes first.
                for path in tmp_path.glob("*.json"):
                    path.unlink(missing_ok=True)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not list(tmp_path.glob(".entry*"))


def test_default_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NNLUT_CACHE", str(tmp_path))
    assert cache.default_folder() == tmp_path / "synthesis"
    monkeypatch.delenv("NNLUT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_folder() == tmp_path / "nnlut" / "synthesis"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.default_folder() == tmp_path / ".cache" / "nnlut" / "synthesis"


def test_folder_that_cannot_be_made(tmp_path, monkeypatch, made):
    file = tmp_path / "file"
    file.write_text("")
    with (
        pytest.raises(UsageError, match="the cache must be a folder that can be written, not "),
        cache.use(file),
    ):
        pass
    # The default one is no wish of the user's.
    monkeypatch.setenv("NNLUT_CACHE", str(file))
    with cache.use(cache.default_folder()):
        assert cache.cached(KEY, made)["number"] == 1
