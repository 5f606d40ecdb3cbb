"""Mutation coverage: do the benches notice faults? ``python -m sim.mutants BUILD_DIR``.

Yosys plants faults in the exported Verilog (`plant`), the standard bench runs over each (`kill`),
and those that it does not notice are proved to change nothing (`prove`), or listed.
"""
