"""What the tests of the commands fit and check share."""

import hashlib
import json

import numpy as np

from nnlut_train import __main__ as command


def run(*words):
    return command.main([str(word) for word in words])


def fit(*words):
    assert run("fit", *words) == 0


def one_error(capsys):
    """Return the message, which must be all that was printed."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("nnlut_train: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err.removeprefix("nnlut_train: error: ").rstrip("\n")


def digest(data):
    return hashlib.sha256(
        json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


def tamper(path, change):
    """Change a table file's data, and make its checksum right again."""
    data = json.loads(path.read_text())
    change(data)
    data.pop("checksum")
    path.write_text(json.dumps(data | {"checksum": digest(data)}))


def listed(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# Functions of a user.


def log1p(x):
    return np.log1p(x)  # NaN below -1


def root(x):
    if (x < 0).any():
        raise ValueError("negative")
    return np.sqrt(x)


def nan(x):
    return np.full_like(x, np.nan)


def infinite(x):
    return np.full_like(x, np.inf)


def large(x):
    return 1e30 * x


def one(x):
    return 1.0


number = 3
