"""What the hardware must do (`sim.golden`), and the benches that check that it does."""
