"""ONNX files in every precision: conversion, quantisation, and the weights as they lie in a file.

Entry: `exporter.export`.
"""

from .exporter import export

__all__ = ["export"]
