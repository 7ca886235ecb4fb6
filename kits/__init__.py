"""Kits: an app's whole portrait mode in source, hand-kept in a folder for each platform, and what writes them out."""
