"""Measuring finished networks: renderers against scenes whose truth is known, and what people look at afterwards."""
