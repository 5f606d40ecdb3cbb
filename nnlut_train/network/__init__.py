"""A model on the hardware's arithmetic: replaced, calibrated, trained for it."""

from .replace import functions_replaced, replace, replaced, restore
from .report import Report

__all__ = ["Report", "functions_replaced", "replace", "replaced", "restore"]
