"""Readers for image + depth data as cameras, phones and public sets write it. What a map means is never guessed.

`recognise` names what a folder or file holds; each kind of source is one small module, all give `RgbdPair`s.
"""

from .pair import DepthMap, DepthMeaning, FoundSet, RgbdPair, SetEntry, SetFormat
from .recognise import FORMATS, recognise, survey

__all__ = [
    "FORMATS",
    "DepthMap",
    "DepthMeaning",
    "FoundSet",
    "RgbdPair",
    "SetEntry",
    "SetFormat",
    "recognise",
    "survey",
]
