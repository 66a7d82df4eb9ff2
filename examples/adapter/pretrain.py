"""Trains the network that is frozen afterwards, on public images alone: `python pretrain.py`.

Letters and figures of the fonts that matplotlib ships, turned, sheared, moved and blurred, 8 x 8 grey levels: 62 kinds
of glyphs, nobody's handwriting. Writes afml_adapter/frozen.npz (float16), which the package carries to every
institution; the digest of the task's code covers it. Run it once, at one place: its bits depend on the machine.
"""

from __future__ import annotations

import argparse
import string
from pathlib import Path

import numpy as np
import torch
from afml_adapter.model import FROZEN, GLYPHS, SEEN, trunk
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import nn

CHARACTERS = string.digits + string.ascii_letters
CANVAS, BATCH, RATE = 48, 256, 1e-3


def fonts() -> list[ImageFont.FreeTypeFont]:
    """Those that hold every glyph."""
    folder = Path(get_data_path()) / "fonts" / "ttf"
    names = sorted([*folder.glob("DejaVu*.ttf"), *folder.glob("STIXGeneral*.ttf"), *folder.glob("cm[brst]*10.ttf")])
    return [ImageFont.truetype(str(name), 34) for name in names if "Display" not in name.name]


def glyph(character: str, font: ImageFont.FreeTypeFont, rng: np.random.Generator) -> NDArray[np.float32]:
    """One image, [8, 8] in [0, 1]."""
    canvas = Image.new("L", (CANVAS, CANVAS))
    ImageDraw.Draw(canvas).text((CANVAS / 2, CANVAS / 2), character, fill=255, font=font, anchor="mm")
    turn, shear = rng.normal(0, 0.12), rng.normal(0, 0.15)
    wide, high = rng.uniform(0.75, 1.35, 2)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ [[wide, shear], [0.0, high]]
    moved = np.full(2, CANVAS / 2) - matrix @ np.full(2, CANVAS / 2)
    affine = (*matrix[0], moved[0], *matrix[1], moved[1])
    drawn = canvas.transform(canvas.size, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    box = drawn.getbbox() or (0, 0, CANVAS, CANVAS)
    small = np.asarray(drawn.crop(box).resize((8, 8), Image.Resampling.BOX), np.float32) / 255
    return np.clip(small * rng.uniform(0.9, 2.0) + rng.normal(0, 0.03, (8, 8)), 0, 1).astype(np.float32)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40_000)
    parser.add_argument("--passes", type=int, default=5, help="over the images")
    parser.add_argument("--out", type=Path, default=FROZEN)
    given = parser.parse_args()
    rng, loaded = np.random.default_rng(1), fonts()
    label = rng.integers(GLYPHS, size=given.images)
    drawn = [glyph(CHARACTERS[kind], loaded[rng.integers(len(loaded))], rng) for kind in label]
    images, labels = torch.from_numpy(np.stack(drawn)), torch.from_numpy(label)
    torch.manual_seed(1)
    network, head = trunk(), nn.Linear(SEEN, GLYPHS)
    optimiser = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=RATE)
    for number in range(1, given.passes + 1):
        right = 0
        for batch in torch.randperm(given.images).split(BATCH):
            optimiser.zero_grad()
            found = head(network(images[batch]))
            nn.functional.cross_entropy(found, labels[batch]).backward()
            optimiser.step()
            right += int((found.argmax(1) == labels[batch]).sum())
        print(f"pass {number}: {right / given.images:.3f} of the glyphs told apart while training", flush=True)
    arrays = {name: value.numpy().astype(np.float16) for name, value in network.state_dict().items()}
    np.savez(given.out, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()
