"""Tiles: they cover, they line up, they add up, and RRDBNet's seams cannot be seen."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from inference.restorer import OVERLAP
from inference.tiles import MULTIPLE, axis, blend, grid, samples
from models import build_generator

GOLDEN = Path(__file__).parents[1] / "golden"


@given(st.integers(1, 3000), st.integers(0, 300), st.integers(0, 20).map(lambda n: n * MULTIPLE))
def test_tiles_of_one_length_cover_an_axis(size, extra, overlap):
    tile = max(2 * overlap, overlap + 2 * MULTIPLE) + extra
    tiles = axis(size, tile, overlap)
    spans = tiles.spans
    assert tiles.length <= max(tile, 1) and spans[0].first == 0 and spans[-1].last == size
    for span in spans:
        assert span.start % MULTIPLE == 0
        assert 0 <= span.start <= span.first < span.last <= span.start + tiles.length <= size
    for before, after in pairwise(spans):
        assert after.start - before.start <= tiles.length - overlap
        assert before.last - after.first == tiles.fade
        # Away from the border of the image, a quarter of the overlap is thrown away.
        assert after.first - after.start >= overlap // 4 and before.start + tiles.length - before.last >= overlap // 4
    for before, after in zip(spans, spans[2:]):
        assert before.last <= after.first  # no more than two tiles in any pixel


@pytest.mark.parametrize(("tile", "overlap"), [(64, 6), (64, 36), (64, -4), (4, 0)])
def test_tiles_that_cannot_be_laid_are_refused(tile, overlap):
    with pytest.raises(ValueError, match=f"tiles of {tile}"):
        axis(100, tile, overlap)


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("size", [(70, 41), (33, 97), (20, 20)])
@pytest.mark.parametrize("overlap", [0, 8])
def test_what_only_enlarges_comes_out_whole(scale, size, overlap):
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))

    def enlarged(part):
        return F.interpolate(part[None], scale_factor=scale, mode="nearest")[0]

    tiles = grid(*size, 24, overlap)
    bands = list(blend(lambda y, x, h, w: enlarged(image[:, y : y + h, x : x + w]), tiles, scale))
    torch.testing.assert_close(torch.cat(bands, dim=1), enlarged(image), rtol=0, atol=1e-6)


def test_no_more_than_a_row_of_tiles_is_kept():
    tiles = grid(400, 100, 40, 8)
    rows = [band.shape[1] for band in blend(lambda y, x, h, w: torch.zeros(3, h, w), tiles, 1)]
    assert len(rows) == len(tiles.rows.spans) and sum(rows) == 400 and max(rows) <= 40


@pytest.mark.parametrize(
    "name", ["qe_gan_feats16_blocks2_grow8_ddp.pt", *(f"sr_x{n}_feats16_blocks2_grow8.pth" for n in (1, 2, 4))]
)
def test_rrdbnet_in_tiles_is_the_whole_one(name, photos):
    """Within 1/255 at the default overlap, for every published kind: folded pixels need the most."""
    generator = build_generator({"type": "rrdbnet", "weights": GOLDEN / f"rrdbnet_{name}"}).eval()
    photo = np.ascontiguousarray(photos["coffee"][:50, :139].transpose(2, 0, 1))
    lr = torch.from_numpy(photo)[None].float() / 255
    tiles = grid(*lr.shape[2:], 2 * OVERLAP, OVERLAP)
    assert tiles.count == 2
    with torch.inference_mode():
        bands = list(blend(lambda y, x, h, w: generator(lr[..., y : y + h, x : x + w])[0], tiles, generator.scale))
        apart = (torch.cat(bands, dim=1) - generator(lr)[0]).abs().max().item()
    assert 0 < apart < 1 / 255


@pytest.mark.parametrize(
    ("height", "width", "tile"), [(256, 256, 128), (97, 400, 96), (2000, 1500, 512), (130, 130, 96)]
)
def test_samples_are_spread_and_no_batch_is_larger_than_a_tile(height, width, tile):
    image = np.arange(height)[:, None, None] * 10_000.0 + np.arange(width)[None, :, None]
    tiles = grid(height, width, tile, 32)
    batches = list(samples(image, tiles))
    assert all(batch.shape[0] * batch.shape[1] ** 2 <= tiles.rows.length * tiles.columns.length for batch in batches)
    seen = np.concatenate([batch.reshape(-1) for batch in batches])
    assert len(seen) >= 0.2 * height * width
    assert len(np.unique(seen // 10_000)) > 0.4 * height and seen.min() == 0 and seen.max() >= (height - 5) * 10_000
