"""Images as a kind of data: a folder of them, and a table that says whose they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from afml.core.config import Settings
from afml.core.errors import InputError
from afml.data.encode import Encoded, TableEncoder
from afml.data.kind import Built, Note
from afml.data.rows import RowsKind, TableOptions, load_schema, rows_at_once, store_rows
from afml.data.schema import ImageForm
from afml.data.tally import NO_FILE, NO_IMAGE, OTHER_FORM, Problem

_BRIGHTEST = 255.0


class ImageOptions(TableOptions):
    """What `afml prepare` is told of images."""

    images: Path = Field(description="folder that the table's file names start from.")


class ImageData(RowsKind):
    """Images of one size and mode, people and targets in a table."""

    options = ImageOptions

    def build(self, out: Path, options: Settings, note: Note) -> Built:
        """Read and store images, some at a time; see `DataKind.build`."""
        given = cast(ImageOptions, options)
        schema = load_schema(given.schema_file, "images")
        if not given.images.is_dir():
            raise InputError("is no folder of images", where=given.images, cure="check the path")
        note("reading the images")
        return store_rows(out, given, schema, _Folder(given.images, cast(ImageForm, schema.images)).blocks)


class _Folder:
    """Reads images by the names that a table gives them."""

    def __init__(self, folder: Path, form: ImageForm) -> None:
        self._folder, self._form = Path(os.path.abspath(folder)), form

    def blocks(self, encoder: TableEncoder, batch: Any, encoded: Encoded) -> Iterator[NDArray[np.float32]]:
        """The images of a batch of rows, [some rows, channels, height, width] in [0, 1]."""
        names = encoder.words(self._form.file, batch).to_pylist()
        first = encoder.rows - len(names)
        step = rows_at_once(self._form.shape)
        for start in range(0, len(names), step):
            block = np.zeros((len(names[start : start + step]), *self._form.shape), np.float32)
            for row, name in enumerate(names[start : start + step]):
                found = self._read(name)
                if isinstance(found, Problem):
                    encoder.tally.add(self._form.file, found, np.array([True]), first + start + row)
                else:
                    block[row] = found
            yield block

    def _read(self, name: str | None) -> NDArray[np.float32] | Problem:
        path = Path(os.path.normpath(self._folder / (name or "")))
        try:
            if not name or not path.is_relative_to(self._folder) or not path.is_file():
                return NO_FILE
            with Image.open(path) as image:
                # Before its pixels are decoded: the header says how large it is.
                if image.size != (self._form.width, self._form.height) or image.mode != self._form.mode:
                    return OTHER_FORM
                pixels = np.asarray(image, dtype=np.float32)
        except Exception:  # noqa: BLE001 (what a decoder raises for a damaged file is not one kind)
            return NO_IMAGE
        channels = pixels.reshape(self._form.height, self._form.width, -1).transpose(2, 0, 1)
        return np.asarray(channels / np.float32(_BRIGHTEST))


IMAGES = ImageData()
