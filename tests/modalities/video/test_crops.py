"""Crops of clips: the multi-scale crop's law, evaluation squares, one box for all frames."""

from collections import Counter

import numpy as np
import pytest
import torch

from masquerade.core.draws import Draws
from masquerade.modalities.video.cropping import cut, evaluation_crops, multi_scale_box


def boxes(size, target, count=3000):
    return [
        multi_scale_box(size, target, Draws(seed, torch.tensor([seed]))) for seed in range(count)
    ]


def sides_of(found):
    return [(right - left, bottom - top) for left, top, right, bottom in found]


def test_multi_scale_sides_are_those_of_the_card():
    found = Counter(sides_of(boxes((340, 256), 224)))
    # int(256 · {1, .875, .75, .66}), all pairs at most one step apart
    sides = [256, 224, 192, 168]
    wanted = {(w, h) for i, w in enumerate(sides) for j, h in enumerate(sides) if abs(i - j) <= 1}
    assert set(found) == wanted
    assert len(wanted) == 10
    assert min(found.values()) > 230  # 300 expected


def test_a_side_within_three_pixels_is_the_inputs():
    found = {side for sides in sides_of(boxes((300, 226), 224, 300)) for side in sides}
    assert found == {224, 197, 169, 149}  # int(226 · .875) = 197, …
    smaller = {side for sides in sides_of(boxes((300, 223), 224, 300)) for side in sides}
    assert smaller == {223, 195, 167, 147}  # 224 does not fit


def test_thirteen_places_in_quarters_of_the_free_room():
    full = [box for box in boxes((352, 256), 256) if box[2] - box[0] == box[3] - box[1] == 168]
    room = ((352 - 168) // 4, (256 - 168) // 4)
    places = Counter((left // room[0], top // room[1]) for left, top, _, _ in full)
    wanted = {(x, y) for x in (0, 2, 4) for y in (0, 2, 4)} | {(1, 1), (3, 1), (1, 3), (3, 3)}
    assert set(places) == wanted


def test_every_box_lies_inside_frames_of_any_shape():
    for size in ((8, 8), (64, 9), (7, 200)):
        for left, top, right, bottom in boxes(size, 16, 200):
            assert 0 <= left < right <= size[0]
            assert 0 <= top < bottom <= size[1]


def test_all_frames_of_a_clip_are_cut_alike():
    frames = np.repeat(np.random.default_rng(0).integers(0, 256, (1, 20, 30, 3), np.uint8), 5, 0)
    clip = cut(frames, (3, 2, 21, 17), 8, bilinear=True)
    assert clip.shape == (5, 3, 8, 8)
    assert all(torch.equal(clip[0], frame) for frame in clip)


def test_cut_without_a_resize_is_the_box_itself():
    frames = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), np.uint8)
    wanted = torch.from_numpy(frames[:, 2:10, 5:13]).permute(0, 3, 1, 2)
    assert torch.equal(cut(frames, (5, 2, 13, 10), 8), wanted)


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (16, 16)])
def test_three_squares_go_from_end_to_end(shape):
    height, width = shape
    frames = np.zeros((2, height, width, 3), np.uint8)
    frames[..., 0] = np.arange(width)[None, None, :]
    frames[..., 1] = np.arange(height)[None, :, None]
    crops = evaluation_crops(frames, 16, 1.0, 3)
    places = [(int(crop[0, 1, 0, 0]), int(crop[0, 0, 0, 0])) for crop in crops]  # top, left
    free = max(shape) - 16
    wanted = {
        (16, 40): [(0, 0), (0, free // 2), (0, free)],
        (40, 16): [(0, 0), (free // 2, 0), (free, 0)],
        (16, 16): [(0, 0)] * 3,
    }[shape]
    assert places == wanted
    (centre,) = evaluation_crops(frames, 16, 1.0, 1)
    assert torch.equal(centre, crops[1])


def test_very_long_frames_do_not_fill_the_memory():
    frames = np.zeros((1, 4, 40_000, 3), np.uint8)
    (crop,) = evaluation_crops(frames, 224, 1.0, 1)  # all of it would be 224 × 2,240,000
    assert crop.shape == (1, 3, 224, 224)
