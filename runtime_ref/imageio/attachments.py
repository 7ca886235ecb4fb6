"""What phones put into a photo's file beside the photo, and what a portrait made of it does not take over.

All of it describes the photo as it was taken: over blurred pixels a gain map would draw sharp edges again, and a depth
map would invite the next program to blur a second time. So it is left out, and that is said.
"""

from __future__ import annotations

import re

# By the names that the formats give them: namespaces, auxiliary types (HEIF), item types, segment identifiers.
_MARKS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("HDR gain map", re.compile(rb"hdrgainmap|HDRGainMap|hdr-gain-map|urn:iso:std:iso:ts:21496|infe.{8}tmap", re.S)),
    ("depth map", re.compile(rb"photos/1\.0/depthmap/|photos/dd/|AuxiliaryImageType\W{1,3}(?:depth|disparity)\b"
                             rb"|hevc:2015:auxid:2|cicp:systems:auxiliary:depth")),
    ("mattes", re.compile(rb"[pP]ortrait[eE]ffects[mM]atte|[sS]emantic\w{2,12}[mM]atte")),
    ("video", re.compile(rb"(?:MotionPhoto|MicroVideo)\W{1,3}1\b|mpvdata|MotionPhoto_Data")),
)  # fmt: skip


def attachments_of(data: bytes) -> tuple[str, ...]:
    """What the file of a JPEG or HEIC photo holds beside the photo, in words; its metadata are not among it."""
    if not (data.startswith(b"\xff\xd8\xff") or data[4:8] == b"ftyp"):
        return ()
    return tuple(name for name, mark in _MARKS if mark.search(data))
