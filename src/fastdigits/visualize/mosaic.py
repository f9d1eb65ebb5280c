"""Many small images as one: a grid of tiles that matplotlib draws with a single ``imshow``.

Axes are what is slow in matplotlib: 64 of them take seconds, one image of 64 tiles takes a few hundredths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.arrays import Array
from .canvas import DPI

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

FINE = 24  # pixels of a tile's longer side at least, so that the gaps, which are whole pixels, can be narrow


@dataclass(frozen=True)
class Grid:
    """The geometry of a mosaic: all tiles have one size, the gaps between them have another.

    Parameters
    ----------
    shape : (int, int)
        Height and width of an image, in its own pixels.
    zoom : int
        Pixels of the mosaic per pixel of an image, in both directions.
    pixel : float
        Side of a pixel of the mosaic, in inches.
    gaps : (int, int)
        Pixels of the mosaic between two rows and between two columns.
    """

    shape: tuple[int, int]
    zoom: int
    pixel: float
    gaps: tuple[int, int]

    @classmethod
    def fitted(
        cls,
        shape: tuple[int, int],
        *,
        side: float,
        gaps: tuple[float, float],
        pitch: tuple[float, float] = (0, 0),
    ) -> Grid:
        """Return a grid whose tiles are about ``side`` inches long.

        Where a pixel of an image takes several of the picture, all take the same number: the tiles look even.

        Parameters
        ----------
        shape : (int, int)
            Height and width of an image.
        side : float
            The longer side of a tile.
        gaps : (float, float)
            Inches between two rows and between two columns, at least.
        pitch : (float, float), default (0, 0)
            Inches from one row to the next and from one column to the next, at least: room for captions.
        """
        longer = max(shape)
        zoom = math.ceil(FINE / longer)
        pixel = side * DPI / (longer * zoom)
        pixel = (round(pixel) if pixel >= 1.5 else pixel) / DPI
        down, across = (
            math.ceil(round(max(gap, least - length * zoom * pixel) / pixel, 6))
            for gap, least, length in zip(gaps, pitch, shape, strict=True)
        )
        return cls(shape, zoom, pixel, (down, across))

    @property
    def tile(self) -> tuple[float, float]:
        """Height and width of a tile, in inches."""
        height, width = self.shape
        return height * self.zoom * self.pixel, width * self.zoom * self.pixel

    @property
    def pitch(self) -> tuple[float, float]:
        """From one row to the next and from one column to the next, in inches."""
        return self.tile[0] + self.gaps[0] * self.pixel, self.tile[1] + self.gaps[1] * self.pixel

    def extent(self, rows: int, columns: int) -> tuple[float, float]:
        """Return height and width of so many rows and columns, in inches."""
        down, across = self.pitch
        return rows * down - self.gaps[0] * self.pixel, columns * across - self.gaps[1] * self.pixel

    def corner(self, cell: tuple[int, int]) -> tuple[float, float]:
        """Return how far the upper left corner of a tile lies to the right of and below the first one's."""
        return cell[1] * self.pitch[1], cell[0] * self.pitch[0]

    def draw(
        self,
        axes: Axes,
        tiles: Array,
        cells: list[tuple[int, int]],
        origin: tuple[float, float],
        **style: Any,
    ) -> AxesImage:
        """Draw images with a frame each on a sheet; between them it shows the paper.

        Parameters
        ----------
        axes : Axes
            As `canvas.new_sheet` makes them.
        tiles : ndarray, (n, height, width)
        cells : list of (int, int)
            Row and column of each tile.
        origin : (float, float)
            Where the upper left corner of the grid lies.
        **style
            Further arguments of ``Axes.imshow``.
        """
        from matplotlib import rcParams
        from matplotlib.collections import PolyCollection

        height, width = (self.zoom * side for side in self.shape)
        down, across = height + self.gaps[0], width + self.gaps[1]
        rows, columns = (max(numbers) + 1 for numbers in zip(*cells, strict=True))
        size = (rows * down - self.gaps[0], columns * across - self.gaps[1])
        whole = np.ma.array(np.zeros(size, tiles.dtype), mask=True)
        x, y = origin
        frames = []
        for tile, (row, column) in zip(tiles, cells, strict=True):
            top, left = row * down, column * across
            whole[top : top + height, left : left + width] = tile.repeat(self.zoom, 0).repeat(self.zoom, 1)
            corners = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
            frames.append(origin + self.pixel * np.array(corners))
        extent = (x, x + self.pixel * size[1], y + self.pixel * size[0], y)
        limits = axes.axis()
        image = axes.imshow(whole, extent=extent, aspect="auto", **style)
        axes.axis(limits)  # imshow narrows them to the image
        axes.add_collection(
            PolyCollection(
                frames,
                facecolors="none",
                edgecolors=rcParams["axes.edgecolor"],
                linewidths=rcParams["axes.linewidth"],
            ),
            autolim=False,
        )
        return image
