"""Long random runs of exported Verilog: a plain testbench in Icarus Verilog, no bus models.

Some ten times as fast as cocotb, so that 100,000 beats take seconds.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw.axi import data_bytes, ports
from nnlut_train import interrupt
from nnlut_train.errors import StepError
from sim.golden import Spec

from .beats import Row, flags
from .stimuli import Stimulus, companions, random_rows
from .vectors import Vectors, hex_fields, vectors_of

__all__ = ["Stress", "random_run", "stress_verilog"]

#: What a row unit tells, in the order of its ports.
FLAGS = ("overlong", "holes")

TESTBENCH = """\
`timescale 1ns/1ps
module nnlut_testbench;
  reg aclk = 0, aresetn = 0;
  always #5 aclk = ~aclk;

  reg [{in_top}:0] inputs [0:{ins}-1];
  reg [{out_top}:0] outputs [0:{outs}-1];
  integer sent = 0, received = 0, errors = 0, clocks = 0, quiet = 0, seed = {seed}, lane, file;

  reg offered = 0, ready = 0, stalled = 0;
  reg [{in_top}:0] next;
  reg [{out_top}:0] wanted;
  wire s_axis_tready, m_axis_tvalid, m_axis_tlast;
  wire [{out_width}-1:0] m_axis_tdata;
  wire [{out_keep}-1:0] m_axis_tkeep;
  wire overlong, holes;
  wire [{out_top}:0] result = {result};
  reg [{out_top}:0] held;

  {top} dut ({ports});

  initial begin
    $readmemh("input.hex", inputs);
    $readmemh("output.hex", outputs);
    {open_dump}#42 aresetn = 1;
  end

  // Everything changes just after the edge, at which it was sampled.
  always @(posedge aclk) if (aresetn) begin
    clocks = clocks + 1;
    quiet = quiet + 1;
    if (stalled && (!m_axis_tvalid || result !== held)) begin
      errors = errors + 1;
      $display("a stalled beat changed at clock %0d", clocks);
    end
    stalled = m_axis_tvalid && !ready;
    held = result;
    if (m_axis_tvalid && ready) begin
      quiet = 0;
      {dump}if (received >= {outs}) begin
        errors = errors + 1;
        $display("a beat more than {outs}");
      end else if (m_axis_tlast !== wanted[{out_top}]{compare_keep}) begin
        errors = errors + 1;
        $display("beat %0d must be %h, not %h", received, wanted, result);
      end else for (lane = 0; lane < {out_width} / 8; lane = lane + 1)
        if ({kept} && m_axis_tdata[8*lane +: 8] !== wanted[8*lane +: 8]) begin
          errors = errors + 1;
          $display("beat %0d must be %h, not %h", received, wanted, result);
        end
      received = received + 1;
    end
    if (offered && s_axis_tready) begin
      quiet = 0;
      sent = sent + 1;
      offered = 0;
    end
    if (errors > 8 || quiet > {patience}) begin
      $display("sent %0d received %0d errors %0d clocks %0d flags {flags}", sent, received, errors,
               clocks{flag_values});
      $finish;
    end
    #1;
    // Read here, once a clock: Icarus is slow where a wire is a word of a large array.
    next = inputs[sent];
    wanted = outputs[received];
    if (!offered) offered = sent < {ins} && $urandom(seed) % 4 != 0;
    ready = $urandom(seed) % 4 != 0;
  end
endmodule
"""


@dataclass(frozen=True)
class Stress:
    """A long run that found nothing wrong.

    Parameters
    ----------
    beats : int
        Beats in and out, all compared.
    rows : int
        Rows that came out.
    clocks : int
        How long it took.
    """

    beats: int
    rows: int
    clocks: int


def random_run(spec: Spec, beats: int, seed: int) -> Stimulus:
    """Return random rows of at least so many beats, with all that the unit can meet.

    Of a row unit, one row in sixteen is too long; with several lanes, one in four lacks elements.
    """
    rng = np.random.default_rng(seed)

    def drawn() -> Iterator[Row]:
        while True:
            if spec.longest:
                rows = list(random_rows(spec, 16, rng))
                rows[0] = np.resize(rows[0], spec.longest + 1 + len(rows[0]))
                yield from rows
            else:
                size = int(rng.integers(1, 64))
                yield rng.integers(spec.input.min, spec.input.max, size, endpoint=True)

    rows: list[Row] = []
    total = 0
    for row in drawn():
        rows.append(row)
        total += spec.beats(len(row))
        if total >= beats:
            break
    keeps = None
    if spec.lanes > 1:
        keeps = [rng.random(len(row)) < rng.choice([0.5, 1.0, 1.0, 1.0]) for row in rows]
    return Stimulus("random rows", rows, users=companions(spec, rows, rng), keeps=keeps)


def _testbench(
    spec: Spec, name: str, vectors: Vectors, widths: tuple[int, int], seed: int, *, dump: bool
) -> str:  # fmt: skip
    lanes = spec.lanes
    entering = hex_fields(widths[0], keep=lanes > 1, user_bits=spec.user_bits)
    leaving = hex_fields(widths[1], keep=lanes > 1, user_bits=0)
    driven = {
        f"s_axis_{name}": f"next[{high}:{low}]" for name, (low, high) in entering.items()
    } | {
        "aclk": "aclk", "aresetn": "aresetn", "s_axis_tvalid": "offered",
        "m_axis_tready": "ready",
    }  # fmt: skip
    read = ("s_axis_tready", "m_axis_tvalid", "m_axis_tlast", "m_axis_tdata", "m_axis_tkeep",
            *FLAGS)  # fmt: skip
    told = [port.name for port in ports(spec) if port.name in FLAGS]
    connected = []
    for port in ports(spec):
        unused = f"{port.width}'d0" if port.direction == "input" else ""
        wire = port.name if port.name in read else driven.get(port.name, unused)
        connected.append(f".{port.name}({wire})")
    fields = ["m_axis_tlast", *["m_axis_tkeep"] * (lanes > 1), "m_axis_tdata"]
    keep = "{1:d}:{0:d}".format(*leaving["tkeep"]) if lanes > 1 else ""
    return TESTBENCH.format(
        in_top=entering["tlast"][1], out_top=leaving["tlast"][1], ins=len(vectors.input),
        outs=len(vectors.output), out_width=widths[1], out_keep=max(1, widths[1] // 8),
        result="{" + ", ".join(fields) + "}", top=name, ports=", ".join(connected),
        compare_keep=f" || m_axis_tkeep !== wanted[{keep}]" if keep else "",
        kept="m_axis_tkeep[lane]" if keep else "1", seed=seed, flags="%b" * len(told),
        flag_values="".join(f", {flag}" for flag in told),
        patience=1000 + 16 * spec.longest,
        open_dump='file = $fopen("beats", "w");\n    ' * dump,
        dump='$fdisplay(file, "%h", result);\n      ' * dump,
    )  # fmt: skip


def _flags(spec: Spec, run: Stimulus) -> str:
    """Return the flags that a row unit must show after `run`: a digit each."""
    if not spec.longest:
        return ""
    overlong, holes = flags(spec, run.rows, run.keeps)
    return f"{overlong:d}" if run.keeps is None else f"{overlong:d}{holes:d}"


def stress_verilog(
    spec: Spec, verilog: Path, name: str, beats: int = 100_000, *, seed: int = 0,
    dump: Path | None = None,
) -> Stress:  # fmt: skip
    """Run random rows through a unit's Verilog, both sides stalling in a quarter of the clocks.

    Parameters
    ----------
    spec : Spec
        The unit.
    verilog : Path
        What `hw.verilog.to_verilog` wrote for it.
    name : str
        Name of its top module.
    beats : int
        At least so many beats.
    seed : int
        Seed of rows and stalls.
    dump : Path, optional
        A file for the beats that come out, a line each in hexadecimal, in the fields of
        ``output.hex`` (`hex_fields`).

    Raises
    ------
    StepError
        If a beat differs, is lost, doubled or changes while stalled; or Icarus Verilog is missing.
    """
    if shutil.which("iverilog") is None:
        raise StepError(
            "Icarus Verilog (iverilog) was not found: install it (Debian, Ubuntu: "
            "apt-get install iverilog)"
        )
    run = random_run(spec, beats, seed)
    vectors = vectors_of(spec, [run])
    widths = tuple(8 * spec.lanes * data_bytes(form) for form in (spec.input, spec.output))
    with tempfile.TemporaryDirectory(prefix="nnlut-icarus-") as folder:
        work = Path(folder)
        for file, data in vectors.files(widths, spec.user_bits).items():
            (work / file).write_bytes(data)
        (work / "testbench.v").write_text(
            _testbench(spec, name, vectors, widths, seed, dump=dump is not None)
        )
        commands = (
            ["iverilog", "-g2005", "-o", "run.vvp", "-s", "nnlut_testbench", "testbench.v",
             str(verilog.absolute())],
            ["vvp", "-n", "run.vvp"],
        )  # fmt: skip
        for command in commands:
            done = interrupt.run(
                command, cwd=work, capture_output=True, text=True, errors="replace"
            )
            if done.returncode:
                raise StepError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()}")
        if dump is not None:
            shutil.copyfile(work / "beats", dump)
    found = re.search(
        r"sent (\d+) received (\d+) errors (\d+) clocks (\d+) flags ([01x]*)", done.stdout
    )
    counts = tuple(map(int, found.groups()[:4])) if found else ()
    if counts[:3] != (len(vectors.input), len(vectors.output), 0):
        raise StepError(f"the Verilog differs from its model: {done.stdout.strip()}")
    if found[5] != (told := _flags(spec, run)):
        raise StepError(f"the flags (overlong, holes) must be {told}, not {found[5]}")
    return Stress(len(vectors.output), int(vectors.output_last.sum()), counts[3])
