"""What the tests of hw.build and of sim.run share."""

from hw import build as hw_build


def build(*words):
    return hw_build.main([str(word) for word in words])


def small(*words):
    """Build for gates only: one run of Yosys fewer for each FPGA."""
    assert build("--target", "generic", *words) == 0


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def around(folder):
    """What lies in the folder's parent, hidden litter included."""
    return sorted(path.name for path in folder.parent.iterdir() if path.name != ".logs")


def one_error(capsys, prog="hw.build"):
    """Return the message, which must be all that was printed."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{prog}: error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err.removeprefix(f"{prog}: error: ").rstrip("\n")
