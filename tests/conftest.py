"""What all tests share."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep fitted tables apart from the user's: a stale one must not pass a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NNLUT_CACHE", str(tmp_path_factory.mktemp("tables")))
        yield
