"""Cell libraries and constraints that synthesis reads; data only."""
