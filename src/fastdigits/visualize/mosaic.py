"""Many small images as one: a grid of tiles that matplotlib draws with a single ``imshow``.

In matplotlib, 64 axes take seconds; one image of 64 tiles takes a few hundredths of a second.
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

FINE = 24  # minimum pixels along the longer side of a tile, as gaps are whole pixels and must be narrow


@dataclass(frozen=True)
class Grid:
    """The geometry of a mosaic of equal tiles.

    Parameters
    ----------
    shape : (int, int)
        Height and width of an image, in its own pixels.
    zoom : int
        Mosaic pixels per image pixel, in both directions.
    pixel : float
        Side of a mosaic pixel, in inches.
    gaps : (int, int)
        Mosaic pixels between two rows and between two columns.
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

        Each pixel of an image is drawn with the same number of pixels.

        Parameters
        ----------
        shape : (int, int)
            Height and width of an image.
        side : float
            The longer side of a tile.
        gaps : (float, float)
            Minimum inches between two rows and between two columns.
        pitch : (float, float), default (0, 0)
            Minimum inches from one row to the next and from one column to the next, for captions.
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
        """Distance from one row to the next and from one column to the next, in inches."""
        return self.tile[0] + self.gaps[0] * self.pixel, self.tile[1] + self.gaps[1] * self.pixel

    def extent(self, rows: int, columns: int) -> tuple[float, float]:
        """Return height and width of a grid, in inches."""
        down, across = self.pitch
        return rows * down - self.gaps[0] * self.pixel, columns * across - self.gaps[1] * self.pixel

    def corner(self, cell: tuple[int, int]) -> tuple[float, float]:
        """Return the offset (right, down) of a tile from the first one, in inches."""
        return cell[1] * self.pitch[1], cell[0] * self.pitch[0]

    def draw(
        self,
        axes: Axes,
        tiles: Array,
        cells: list[tuple[int, int]],
        origin: tuple[float, float],
        **style: Any,
    ) -> AxesImage:
        """Draw images, each with a frame, on axes in inches; the gaps stay transparent.

        Parameters
        ----------
        axes : Axes
            Axes from `canvas.new_sheet`.
        tiles : ndarray, (n, height, width)
        cells : list of (int, int)
            Row and column of each tile.
        origin : (float, float)
            Position of the upper left corner of the grid.
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
        axes.axis(limits)  # imshow sets them to the image
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
