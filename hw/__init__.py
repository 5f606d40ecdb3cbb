"""Amaranth: the units, their AXI4-Stream shell, Verilog export, synthesis, and the main job."""
