"""The version, in a module of its own: every floor may know it."""

__version__ = "0.2.0"
