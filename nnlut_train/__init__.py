"""Learn integer tables from functions."""
