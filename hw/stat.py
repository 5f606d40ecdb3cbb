"""Statistics of a netlist, as Yosys writes them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnlut_train.errors import StepError

from . import yosys

#: The file that a script must write: ``tee -q -o stat.json stat -top TOP -json``.
STAT = "stat.json"


def read_stat(written: bytes, step: str) -> dict[str, Any]:
    """Give what `STAT` says of the whole design.

    Parameters
    ----------
    written : bytes
        The file.
    step : str
        What was run; the error message begins with it.

    Raises
    ------
    StepError
        It is not what Yosys writes.
    """
    try:
        design = json.loads(written)["design"]
    except (ValueError, KeyError, TypeError) as error:
        raise StepError(f"{step}: Yosys' statistics cannot be read: {error!r}") from error
    if not isinstance(design, dict):
        raise StepError(f"{step}: Yosys' statistics of the design are {design!r}")
    return design


def run_stat(script: str, files: Mapping[str, bytes | str | Path], step: str) -> dict[str, Any]:
    """Run a Yosys script that writes `STAT`, and give what that says of the whole design.

    Raises
    ------
    StepError
        Yosys failed, or its statistics cannot be read.
    """
    return read_stat(yosys.run(script, files, [STAT], step=step)[STAT], step)


def cell_counts(design: Mapping[str, Any], step: str) -> dict[str, int]:
    """Give the cell counts of a netlist, sorted by cell type.

    Raises
    ------
    StepError
        The statistics have none.
    """
    cells = design.get("num_cells_by_type")
    if not isinstance(cells, dict):
        raise StepError(f"{step}: Yosys' statistics have no cell types")
    # $scopeinfo keeps the names of flattened modules; it is no hardware.
    return {cell: cells[cell] for cell in sorted(cells) if cell != "$scopeinfo"}
