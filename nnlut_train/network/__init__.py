"""A model on the hardware's arithmetic: replaced, calibrated, trained for it."""

from .calibrate import calibrate, plan_of, updated
from .finetune import distillation, finetune
from .nnlut import train_tables
from .observe import observe
from .recast import blocks_of, recast
from .replace import functions_replaced, replace, replaced, restore
from .report import Report

__all__ = [
    "Report", "blocks_of", "calibrate", "distillation", "finetune", "functions_replaced", "observe",
    "plan_of", "recast", "replace", "replaced", "restore", "train_tables", "updated",
]  # fmt: skip
