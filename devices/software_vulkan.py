"""A GPU in software: the Vulkan that every Chromium brings (SwiftShader), for programs that ask for a GPU.

It computes in 32-bit floats only: what 16-bit ones would do, it does not show.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .browser.installation import chromium

_DRIVER = "vk_swiftshader_icd.json"
_SYSTEM = Path("/usr/lib")  # where Debian keeps what its chromium, a script, starts


def software_vulkan() -> Mapping[str, str] | None:
    """The variables by which a process finds Chromium's Vulkan; None where there is none."""
    program = chromium()
    if program is None:
        return None
    there = (Path(program).resolve().parent, _SYSTEM / Path(program).name)
    folder = next((one for one in there if (one / _DRIVER).is_file()), None)
    if folder is None:
        return None
    driver = str(folder / _DRIVER)
    libraries = os.pathsep.join(filter(None, (str(folder), os.environ.get("LD_LIBRARY_PATH", ""))))
    return {"VK_ICD_FILENAMES": driver, "VK_DRIVER_FILES": driver, "LD_LIBRARY_PATH": libraries}
