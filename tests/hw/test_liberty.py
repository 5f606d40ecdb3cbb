import gzip

import pytest

from hw import liberty
from nnlut_train.errors import UsageError

# A fixed time: the workers of a parallel run must collect the same tests.
CUT = gzip.compress(b"library (a) { }" * 99, mtime=0)[:-12]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.lib", b"module top; endmodule\n", r"no `library \(\.\.\.\)`"),
        ("a.lib", b"\x00\xff\x80", r"no `library \(\.\.\.\)`"),
        ("a.lib", b"/* library (a) { */", r"no `library \(\.\.\.\)`"),
        ("a.lib", b"library (a) { }", r"no `cell \(\.\.\.\)`"),
        ("a.lib.gz", b"library (a) { }", "not a complete gzip file"),
        (
            "a.lib",
            CUT,
            "not a complete gzip file",
        ),
    ],
)
def test_file_that_is_no_liberty_library(tmp_path, name, content, why):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"{name} must be a liberty cell library: .*{why}"):
        liberty.read_all([path])


def test_liberty_scanner_reads_what_vendors_write(tmp_path):
    path = tmp_path / "a.lib"
    path.write_text("""\
/* cell (COMMENTED) { area : 9; } */
library ("my lib") {
  cell("QUOTED"){area:1.5e1 ; pin (Y) { function : "(A B)"; } }
  cell (SCAN) { dont_use : true;
    area : 7
    ff (IQ, IQN) { clocked_on : "C"; next_state : "D"; }
    test_cell () { ff (IQ, IQN) { } }
  }
  cell (GATED) { area : 3; latch ("IQ", "IQN") { enable : "E"; } }
  cell (FILL) { }
}
""")
    library = liberty.read(path)
    assert (library.name, library.file) == ("my lib", "a.lib")
    assert library.cells == {
        "QUOTED": liberty.Cell(15.0, flip_flop=False, latch=False, usable=True),
        "SCAN": liberty.Cell(7.0, flip_flop=True, latch=False, usable=False),
        "GATED": liberty.Cell(3.0, flip_flop=False, latch=True, usable=True),
        "FILL": liberty.Cell(None, flip_flop=False, latch=False, usable=True),
    }
    with pytest.raises(UsageError, match=r"must have a flip-flop, but a\.lib has none$"):
        liberty.read_all([path])
    with pytest.raises(UsageError, match=r"QUOTED is in a\.lib and in a\.lib$"):
        liberty.read_all([path, path])
