"""The build folder: its manifest, how it is written in one piece, and how it is read back."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from nnlut_train import scratch
from nnlut_train.errors import UsageError
from nnlut_train.files import dump, load, write_bytes
from nnlut_train.interrupt import held
from nnlut_train.reading import read_bytes, read_json, read_text
from sim.golden import Spec, spec_from_json

from .checks import is_identifier

__all__ = [
    "Build",
    "check_folder",
    "check_parent",
    "load_build",
    "rewrite",
    "split_tables",
    "write_folder",
]

SCHEMA = 2
#: The folder, in a build's, that its cocotb bench writes into: no part of the build.
WORK = "cocotb/work"


@dataclass(frozen=True)
class Build:
    """A folder that `hw.build` wrote.

    Parameters
    ----------
    folder : Path
        Where it is.
    manifest : dict
        Content of ``<name>.json``.
    """

    folder: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the build and of its Verilog module."""
        return self.manifest["name"]

    @property
    def verilog(self) -> Path:
        """The Verilog file."""
        return self.folder / self.manifest["verilog"]

    def text(self) -> str:
        """Return the Verilog.

        Raises
        ------
        UsageError
            If it cannot be read.
        """
        try:
            return read_text(self.verilog)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise UsageError(f"{self.verilog}: cannot be read: {why}") from error

    def spec(self) -> Spec:
        """Return the specification, its tables read from their files.

        Raises
        ------
        UsageError
            If a table file cannot be read, was changed, or is not the one that was built.
        """

        def inline(value: Any) -> Any:
            if isinstance(value, list):
                return [inline(inner) for inner in value]
            if not isinstance(value, dict):
                return value
            if value.keys() == {"file", "sha256"}:
                table = load(self.folder / _inside(self.folder, value["file"]))
                if table.sha256 != value["sha256"]:
                    raise UsageError(
                        f"{self.folder / value['file']}: must be the table that was built "
                        f"(sha256 {value['sha256']}), not {table.sha256}"
                    )
                return table.to_json()
            return {key: inline(inner) for key, inner in value.items()}

        return spec_from_json(inline(self.manifest.get("spec")))


def _inside(folder: Path, name: Any) -> str:
    """Return the name of a build's file; raise UsageError unless it is inside the folder."""
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath("/")
    if path.is_absolute() or ".." in path.parts or "\\" in str(path) or "\0" in str(path):
        raise UsageError(f"{folder}: a table's file must be a name inside it, not {name!r:.80}")
    return str(path)


def split_tables(spec: Spec) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the specification with references in place of its tables, and the table files."""
    files: dict[str, bytes] = {}

    def outline(value: Any, path: str) -> Any:
        if isinstance(value, list):
            return [outline(inner, f"{path}.{number}") for number, inner in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if "sha256" in value:
            name = f"tables/{path or 'table'}.json"
            files[name] = dump(value)
            return {"file": name, "sha256": value["sha256"]}
        # The fields that hold a table, or what a unit wraps, add nothing to the path.
        return {
            key: outline(inner, path if key in ("table", "unit") else f"{path}.{key}".lstrip("."))
            for key, inner in value.items()
        }

    return outline(spec.describe(), ""), files


def _hash(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest without that field."""
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    # As it will be read back: JSON turns the keys of an object into strings, which sort otherwise.
    canonical = json.dumps(json.loads(json.dumps(rest)), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def load_build(folder: Path) -> Build:
    """Read the manifest of a build folder.

    Raises
    ------
    UsageError
        If `folder` is not one that `hw.build` wrote.
    """

    def wrong(why: str) -> UsageError:
        return UsageError(f"BUILD_DIR must be a folder made by hw.build; {why}")

    if not folder.is_dir():
        raise wrong(f"{folder} is no folder")
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            manifest = read_json(path)
        except (OSError, ValueError) as error:
            raise wrong(f"{path} cannot be read as JSON: {error}") from error
        if isinstance(manifest, dict) and manifest.get("name") == path.stem:
            if manifest.get("schema") != SCHEMA:
                raise wrong(f"the schema in {path} must be {SCHEMA}")
            if manifest.get("sha256") != _hash(manifest):
                raise wrong(f"{path} was changed since it was built")
            verilog = manifest.get("verilog")
            if not is_identifier(manifest["name"]):
                raise wrong(f"the name in {path} must be a Verilog identifier")
            plain = isinstance(verilog, str) and Path(verilog).name == verilog
            if not plain or not (folder / verilog).is_file():
                raise wrong(f'"verilog" in {path} must be a file beside it, not {verilog!r}')
            found.append(Build(folder, manifest))
    if len(found) != 1:
        names = ", ".join(build.name for build in found)
        raise wrong(f"{folder} has {f'several manifests: {names}' if found else 'no manifest'}")
    return found[0]


def rewrite(build: Build, **fields: Any) -> None:
    """Put fields into the manifest of a build, in one piece.

    Parameters
    ----------
    build : Build
        The build, as it was read.
    **fields : JSON-ready data
        What is added, or takes the place of what it had.

    Raises
    ------
    UsageError
        If the manifest cannot be written.
    """
    full = {**build.manifest, **fields}
    full["sha256"] = _hash(full)
    path = build.folder / f"{build.name}.json"
    try:
        write_bytes(path, (json.dumps(full, indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise UsageError(f"{path} must be a file that can be written: {error.strerror}") from error


def check_folder(folder: Path) -> str:
    """Check that `folder` may be (over)written: it is new, empty, or an unchanged earlier build.

    Returns
    -------
    str
        The command of the earlier build, or nothing.

    Raises
    ------
    UsageError
        If it holds anything else; the message names it.
    """

    def wrong(why: str) -> UsageError:
        return UsageError(
            f"--out must be a new folder or an earlier build that nobody changed; {why}"
        )

    if not folder.exists():
        nearest = next(parent for parent in folder.absolute().parents if parent.exists())
        if not nearest.is_dir():
            raise wrong(f"{nearest} is a file")
        return ""
    if not folder.is_dir():
        raise wrong(f"{folder} is a file")
    present = {path.relative_to(folder).as_posix(): path
               for path in sorted(folder.rglob("*")) if not path.is_dir()}  # fmt: skip
    # What the build's own bench wrote.
    present = {name: path for name, path in present.items() if not name.startswith(f"{WORK}/")}
    if not present:
        return ""
    try:
        manifest = load_build(folder).manifest
        listed = dict(manifest["files"])
    except (UsageError, KeyError, TypeError, ValueError) as error:
        if "was changed" in str(error):
            raise wrong(str(error).split("; ", 1)[1]) from error
        first = min(present, key=lambda name: (name.count("/"), name))
        raise wrong(f"{folder} holds something else: {first}") from error
    for name, path in present.items():
        if name == f"{manifest['name']}.json":
            continue
        if name not in listed:
            raise wrong(f"{folder} holds something else: {name}")
        try:
            same = hashlib.sha256(read_bytes(path)).hexdigest() == listed[name]
        except OSError:
            same = False
        if not same:
            raise wrong(f"{path} was changed since it was built")
    return str(manifest.get("command", ""))


def check_parent(folder: Path) -> None:
    """Check that folders of builds may be put into `folder`: it is no build itself.

    Raises
    ------
    UsageError
        If it is one: with more inside, it would be a build that somebody changed.
    """
    try:
        load_build(folder)
    except UsageError:
        return
    raise UsageError(f"--out must be a folder for folders of units, not a build itself, {folder}")


def write_folder(
    folder: Path, name: str, manifest: Mapping[str, Any], files: Mapping[str, bytes]
) -> None:
    """Write a build folder: all of it, or nothing.

    Parameters
    ----------
    folder : Path
        Where; what `check_folder` allows is replaced.
    name : str
        Name of the build.
    manifest : mapping
        The manifest; the list of `files` with their SHA-256 is added.
    files : mapping
        Path in the folder to content.

    Raises
    ------
    UsageError
        If the folder cannot be written.
    """
    hashes = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    full = {"schema": SCHEMA, "name": name, **manifest, "files": hashes}
    full["sha256"] = _hash(full)
    content = {
        **files,
        f"{name}.json": (json.dumps(full, indent=1, allow_nan=False) + "\n").encode(),
    }
    folder = folder.resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that moving it there is one step of the file system.
        with scratch.beside(folder) as beside:
            partial = beside / "build"
            for path, data in content.items():
                target = partial / PurePosixPath(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            # Of two that build into one folder, the second replaces what the first one built.
            with scratch.locked(folder.parent):
                check_folder(folder)
                with held():
                    _move(partial, folder, beside / "earlier")
    except OSError as error:
        raise UsageError(
            f"--out must be a folder that can be written, not {folder}: {error.strerror or error}"
        ) from error


def _move(new: Path, folder: Path, aside: Path) -> None:
    """Put `new` where `folder` is; what is there, if it is, is not lost at any moment."""
    if not folder.exists():
        new.rename(folder)
    elif not scratch.exchange(new, folder):
        folder.rename(aside)
        try:
            new.rename(folder)
        except OSError:
            aside.rename(folder)
            raise
