"""The learning rate: a linear warm-up, then a cosine to zero, changing by epoch or by step, or none."""

from __future__ import annotations

import math

from pretrain.settings import Settings


def rate(settings: Settings, epoch: int, step: int = 0, steps: int = 1) -> float:
    """Learning rate of one step.

    By epoch as in MoCo (main_moco.py:497-506 @132aea9), whose first epoch has the full rate; by step as in
    SimCLR (model_util.py:57-83 @383d414), whose first step has the rate zero of its warm-up.

    Args:
        settings: With the schedule.
        epoch: From 0.
        step: Of this epoch, from 0.
        steps: In each epoch.
    """
    by_epoch = settings.schedule == "epoch"
    at = epoch if by_epoch else epoch + step / steps
    if at < settings.lr_warmup:
        return settings.peak_lr * min(1.0, (at + by_epoch) / settings.lr_warmup)
    if settings.schedule == "constant":
        return settings.peak_lr
    share = (at - settings.lr_warmup) / (settings.epochs - settings.lr_warmup)
    return settings.peak_lr * 0.5 * (1 + math.cos(math.pi * share))
