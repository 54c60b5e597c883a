"""A sheet of the images that the network sees, to look at before training."""

import math
import pathlib
from collections.abc import Sequence

import numpy as np

from jslim.core.text import printable

_SIDE = 160  # pixels of an image on the sheet
_TEXT = 16


def save_contact_sheet(path: str, images: np.ndarray, captions: Sequence[str]) -> None:
    """Draws images in rows, each over its caption.

    Args:
      path: The PNG file.
      images: `[n, height, width, channels]` with 1 or 3 channels, preprocessed. Each is scaled so
        that its least value is black and its greatest white.
      captions: One for each image.
    """
    from PIL import Image, ImageDraw

    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    sheet = Image.new("RGB", (columns * (_SIDE + 8), rows * (_SIDE + _TEXT + 8)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        low, high = float(image.min()), float(image.max())
        scaled = (image.astype(np.float32) - low) * (255 / max(high - low, 1e-6))
        pixels = np.rint(scaled).astype(np.uint8)
        shown = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]).convert("RGB")
        scale = _SIDE / max(shown.size)
        width, height = (max(1, round(side * scale)) for side in shown.size)
        left = index % columns * (_SIDE + 8) + 4
        top = index // columns * (_SIDE + _TEXT + 8) + 4
        sheet.paste(shown.resize((width, height), Image.Resampling.NEAREST), (left, top))
        draw.text((left, top + _SIDE), printable(caption)[:24], "black", font_size=12)
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, "PNG")
