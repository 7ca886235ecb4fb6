"""Whole training runs: from what was asked for to weights on disk, a module a system.

Losses and metrics are in `systems`, samples in `data`, the loop in `trainer`.
"""
