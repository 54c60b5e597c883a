"""Numbers of spatial dimensions, and the words that docstrings and errors have for them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rank:
    dims: int | None  # None for as many as the inputs have
    things: str
    space: str
    new_space: str
    last: str  # the format of data with channels last
    first: str


WAVES = Rank(1, "sequences", "width", "new_width", "NWC", "NCW")
IMAGES = Rank(2, "images", "height, width", "new_height, new_width", "NHWC", "NCHW")
VOLUMES = Rank(
    3, "volumes", "depth, height, width", "new_depth, new_height, new_width", "NDHWC", "NCDHW"
)
ANY_RANK = Rank(
    None,
    "sequences, images or volumes",
    "*spatial",
    "*new_spatial",
    "NWC/NHWC/NDHWC",
    "NCW/NCHW/NCDHW",
)
RANKS = {rank.dims: rank for rank in (WAVES, IMAGES, VOLUMES)}
