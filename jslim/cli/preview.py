"""A sheet of the images that the network sees, to look at before training."""

import math
from collections.abc import Sequence

import numpy as np

from jslim.core.text import printable
from jslim.host.files import UnfinishedFile

_SIDE = 160  # pixels of an image on the sheet
_TEXT = 16


def caption_of(shares: np.ndarray, class_names: Sequence[str]) -> str:
    """The class of an image, or a line for each of those that are mixed, with its share.

    >>> caption_of(np.array([0.0, 1.0]), ["cat", "dog"])
    '1: dog'
    >>> caption_of(np.array([0.7, 0.3]), ["cat", "dog"])
    '70% 0: cat\\n30% 1: dog'
    """
    names = [f"{label}: {' '.join(name.splitlines())}" for label, name in enumerate(class_names)]
    held = [int(label) for label in np.argsort(-shares, kind="stable") if shares[label] > 0]
    if len(held) == 1:
        return names[held[0]]
    return "\n".join(f"{shares[label]:.0%} {names[label]}" for label in held)


def save_contact_sheet(path: str, images: np.ndarray, captions: Sequence[str]) -> None:
    """Draws images in rows, each over its caption.

    Args:
      path: The PNG file.
      images: `[n, height, width, channels]` with 1 or 3 channels, preprocessed. Each is scaled so
        that its least value is black and its greatest white.
      captions: One for each image, of one line or more.
    """
    from PIL import Image, ImageDraw

    below = _TEXT * max(caption.count("\n") + 1 for caption in captions)
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    sheet = Image.new("RGB", (columns * (_SIDE + 8), rows * (_SIDE + below + 8)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        low, high = float(image.min()), float(image.max())
        scaled = (image.astype(np.float32) - low) * (255 / max(high - low, 1e-6))
        pixels = np.rint(scaled).astype(np.uint8)
        shown = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]).convert("RGB")
        scale = _SIDE / max(shown.size)
        width, height = (max(1, round(side * scale)) for side in shown.size)
        left = index % columns * (_SIDE + 8) + 4
        top = index // columns * (_SIDE + below + 8) + 4
        sheet.paste(shown.resize((width, height), Image.Resampling.NEAREST), (left, top))
        for number, line in enumerate(caption.split("\n")):
            at = (left, top + _SIDE + number * _TEXT)
            draw.text(at, printable(line)[:24], "black", font_size=12)
    with UnfinishedFile(path) as unfinished:
        sheet.save(unfinished.path, "PNG")
