"""What phones put into a photo's file beside the photo, and what a portrait made of it does not take over.

All of it describes the photo as it was taken: over blurred pixels a gain map would draw sharp edges again, and a depth
map would invite the next program to blur a second time. So it is left out, and that is said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class _Mark:
    """How a file shows that it holds something.

    Attributes:
        title: what, in words.
        pattern: by the names that the formats give it: namespaces, auxiliary types (HEIF), item types, segment
            identifiers.
        words: one of these is in whatever the pattern matches: finding bytes takes a tenth of the pattern's time, and
            files have tens of megabytes.
    """

    title: str
    pattern: re.Pattern[bytes]
    words: tuple[bytes, ...]

    def is_in(self, data: bytes) -> bool:
        return any(word in data for word in self.words) and self.pattern.search(data) is not None


_MARKS = (
    _Mark(
        "HDR gain map",
        re.compile(rb"hdrgainmap|HDRGainMap|hdr-gain-map|urn:iso:std:iso:ts:21496|infe.{8}tmap", re.S),
        (b"gainmap", b"GainMap", b"gain-map", b"iso:ts:21496", b"tmap"),
    ),
    _Mark(
        "depth map",
        re.compile(
            rb"photos/1\.0/depthmap/|photos/dd/|AuxiliaryImageType\W{1,3}(?:depth|disparity)\b"
            rb"|hevc:2015:auxid:2|cicp:systems:auxiliary:depth"
        ),
        (b"photos/1.0/depthmap/", b"photos/dd/", b"AuxiliaryImageType", b"auxid:2", b"auxiliary:depth"),
    ),
    _Mark("mattes", re.compile(rb"[pP]ortrait[eE]ffects[mM]atte|[sS]emantic\w{2,12}[mM]atte"), (b"Matte", b"matte")),
    _Mark(
        "video",
        re.compile(rb"(?:MotionPhoto|MicroVideo)\W{1,3}1\b|mpvdata|MotionPhoto_Data"),
        (b"MotionPhoto", b"MicroVideo", b"mpvdata"),
    ),
)


def attachments_of(data: bytes) -> tuple[str, ...]:
    """What the file of a JPEG or HEIC photo holds beside the photo, in words; its metadata are not among it."""
    if not (data.startswith(b"\xff\xd8\xff") or data[4:8] == b"ftyp"):
        return ()
    return tuple(mark.title for mark in _MARKS if mark.is_in(data))
