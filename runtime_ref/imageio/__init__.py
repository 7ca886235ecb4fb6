"""Photos and disparity maps in files, as phones write and read them. Pixels in, pixels out; nothing is rendered."""

from .brought import BroughtDisparity, DisparityKind, disparity_for, flatness_of
from .disparity import read_disparity, write_disparity
from .embedded_depth import embedded_disparity
from .finding import FoundPhoto, FoundPhotos, find_photos, means_many
from .formats import Keep, check_goal, format_of, goal_beside, is_photo_name, written_suffix
from .opening import pixels_of
from .photo import Photo, eight_bits, read_photo, write_photo

__all__ = [
    "BroughtDisparity",
    "DisparityKind",
    "FoundPhoto",
    "FoundPhotos",
    "Keep",
    "Photo",
    "check_goal",
    "disparity_for",
    "eight_bits",
    "embedded_disparity",
    "find_photos",
    "flatness_of",
    "format_of",
    "goal_beside",
    "is_photo_name",
    "means_many",
    "pixels_of",
    "read_disparity",
    "read_photo",
    "write_disparity",
    "write_photo",
    "written_suffix",
]
