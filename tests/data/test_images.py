"""Images: every pixel lands in its place, and files that are missing, damaged or of another form are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from afml.core.errors import InputError
from afml.data import rows
from afml.data.images import IMAGES, ImageOptions
from afml.data.schema import ImageForm, Schema, SchemaColumn
from afml.data.source import open_source
from tests.data.tables import write_text

WIDTH, HEIGHT = 5, 3


def prepare(folder: Path, names: list[str], mode: Any = "L") -> Path:
    form = ImageForm(width=WIDTH, height=HEIGHT, mode=mode)
    schema = Schema(images=form, columns=(SchemaColumn(name="ill", kind="binary"),), targets=("ill",))
    (folder / "schema.json").write_bytes(schema.canonical())
    lines = [(name, f"p{row % 3}", str(row % 2)) for row, name in enumerate(names)]
    table = write_text(folder / "t.tsv", ("file", "person", "ill"), lines, "\t")
    out = folder / "out"
    out.mkdir(exist_ok=True)
    given = ImageOptions(table=table, schema_file=folder / "schema.json", images=folder / "images")
    built = IMAGES.build(out, given, lambda _: None)
    assert (built.data.kind, built.data.features) == ("images", len(mode) * WIDTH * HEIGHT)
    assert IMAGES.remarks(out) == ()
    return out


@pytest.fixture
def pixels(tmp_path: Path) -> np.ndarray:
    """Ten images, grey ones as g0.png and coloured ones as deep/c0.png."""
    made = np.random.default_rng(1).integers(0, 256, (10, HEIGHT, WIDTH, 3), dtype=np.uint8)
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for number, image in enumerate(made):
        Image.fromarray(image[:, :, 0]).save(tmp_path / "images" / f"g{number}.png")
        Image.fromarray(image).save(tmp_path / "images" / "deep" / f"c{number}.png")
    return made


def test_grey_and_coloured_images(tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_BLOCK_BYTES", 4 * 8 * WIDTH * HEIGHT)
    source = open_source(prepare(tmp_path, [f"g{number}.png" for number in range(10)]))
    np.testing.assert_array_equal(source.features[:, 0], pixels[..., 0].astype(np.float32) / np.float32(255))
    assert source.features.shape == (10, 1, HEIGHT, WIDTH)
    assert source.owner.tolist() == [row % 3 for row in range(10)]
    assert source.targets[:, 0].tolist() == [0, 1] * 5
    source = open_source(prepare(tmp_path, [f"deep/c{number}.png" for number in range(10)], "RGB"))
    expected = pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(source.features, expected)


def test_what_is_wrong_with_images_is_counted(tmp_path: Path, pixels: np.ndarray) -> None:
    images = tmp_path / "images"
    (tmp_path / "outside.png").write_bytes((images / "g0.png").read_bytes())
    (images / "text.png").write_text("4711")
    (images / "half.png").write_bytes((images / "g0.png").read_bytes()[:50])
    Image.fromarray(pixels[0, :, :4, 0]).save(images / "narrow.png")
    Image.fromarray(pixels[0, ..., 0]).convert("P").save(images / "palette.png")
    outside = str(tmp_path / "outside.png")
    for names, line in (
        (["none.png", "g1.png", "none.png"], "no file inside the folder of images in 2 of 3 rows (the first is row 1)"),
        (["g1.png", "../outside.png"], "names no file inside the folder of images in 1 of 2 rows (the first is row 2)"),
        (["g1.png", outside], "names no file inside"),
        (["g1.png", "deep"], "names no file inside"),
        (["g1.png", ""], "names no file inside"),
        (["g1.png", "x" * 5000], "names files that cannot be read as images in 1 of 2 rows"),
        (["text.png"], "names files that cannot be read as images in 1 of 1 rows"),
        (["half.png"], "names files that cannot be read as images"),
        (["g1.png", "narrow.png", "palette.png", "deep/c1.png"], "another size or mode than the schema says in 3"),
    ):
        with pytest.raises(InputError) as caught:
            prepare(tmp_path, names)
        assert f"{tmp_path / 't.tsv'}: column 'file' " in str(caught.value)
        assert line in str(caught.value)
        assert ".png" not in str(caught.value).replace(str(tmp_path), "")


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="images: is no folder of images; check the path"):
        prepare(tmp_path, ["g1.png"])
