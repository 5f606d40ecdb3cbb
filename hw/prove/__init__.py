"""Formal proofs about a build: ``python -m hw.prove BUILD_DIR``."""
