"""Core AI models: conversion, half precision, compression, proofs. Entry: `export`."""

from .exporter import export

__all__ = ["export"]
