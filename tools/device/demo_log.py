"""The log of MoCo's demo, one-sided: facebookresearch/moco, colab/moco_cifar10_demo.ipynb @f736491."""

from __future__ import annotations

KNN = {10: 48.03, 20: 61.38, 40: 71.32}
"""Percent of test, after so many epochs of 200: k 200, temperature 0.1, on the head's output."""

LOSS = {1: 6.9569, 2: 7.2502, 3: 7.2901, 10: 5.9910, 20: 4.3413, 40: 3.3835}
"""Mean of an epoch."""
