"""``python -m hw.compare``: every unit, precision and architecture, on every target, in one run."""
