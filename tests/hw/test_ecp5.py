"""Registers go into the multipliers of an ECP5 where that changes nothing else."""

import json

import pytest

from hw.ecp5 import pack
from nnlut_train.errors import StepError


def register(data, result, **parameters):
    return {
        "type": "TRELLIS_FF",
        "parameters": {"CEMUX": "CE", "CLKMUX": "CLK", "REGSET": "RESET", **parameters},
        "port_directions": {"Q": "output"},
        "connections": {"CE": [3], "CLK": [2], "DI": [data], "LSR": ["0"], "Q": [result]},
    }


def packed(outputs=(20, 21), **parameters):
    multiplier = {
        "type": "MULT18X18D", "parameters": {},
        "port_directions": {"A0": "input", "P0": "output", "P1": "output"},
        "connections": {"A0": [5], "P0": [10], "P1": [11]},
    }  # fmt: skip
    cells = {"m": multiplier, "a": register(10, 20, **parameters), "b": register(11, 21)}
    ports = {"o": {"direction": "output", "bits": list(outputs)}}
    netlist = json.dumps({"modules": {"t": {"ports": ports, "cells": cells}}})
    return json.loads(pack(netlist.encode(), "t", "step"))["modules"]["t"]["cells"]


def test_registers_of_all_outputs_are_moved():
    cells = packed()
    assert cells.keys() == {"m"}
    ties = cells["m"]["connections"]
    assert (ties["P0"], ties["P1"], ties["CLK0"], ties["CE0"]) == ([20], [21], [2], [3])
    assert cells["m"]["parameters"]["REG_OUTPUT_CLK"] == "CLK0"


@pytest.mark.parametrize(
    "options", [{"REGSET": "SET"}, {"CEMUX": "INV"}, {"CEMUX": "1"}, {"outputs": (20, 21, 10)}]
)
def test_others_stay(options):
    cells = packed(**options)
    assert cells.keys() == {"m", "a", "b"}
    assert cells["m"]["parameters"] == {}


def test_a_netlist_that_cannot_be_read():
    with pytest.raises(StepError, match=r"^step: Yosys' netlist cannot be read"):
        pack(b"{}", "t", "step")
