"""Which frames make a clip: ascending, inside the video, spread as the card says."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from masquerade.core.draws import Draws
from masquerade.modalities.video.sampling import evaluation_frames, span, training_frames


def row(seed):
    return Draws(seed, torch.tensor([3]))


@given(
    st.integers(1, 300), st.integers(1, 20), st.integers(1, 6),
    st.sampled_from(["stride", "segments"]), st.integers(0, 99),
)  # fmt: skip
def test_frames_ascend_inside_the_video(n, frames, stride, sampling, seed):
    clips = [training_frames(n, frames, stride, sampling, row(seed))]
    clips += evaluation_frames(n, frames, stride, sampling, 1 + seed % 5)
    for numbers in clips:
        assert len(numbers) == frames
        assert numbers == sorted(numbers)
        assert 0 <= numbers[0] <= numbers[-1] < n
        if sampling == "stride" and n >= span(frames, stride):
            assert {b - a for a, b in zip(numbers[:-1], numbers[1:], strict=True)} <= {stride}


def test_places_of_training_clips_are_uniform_over_all_that_fit():
    starts = [training_frames(10, 4, 2, "stride", row(seed))[0] for seed in range(800)]
    counts = torch.bincount(torch.tensor(starts))
    assert len(counts) == 4  # 0 … 10 − span(4, 2)
    assert counts.min() > 160  # of 200 expected; three standard deviations are 37


def test_short_video_holds_its_last_frame():
    assert training_frames(5, 4, 2, "stride", row(0)) == [0, 2, 4, 4]
    assert evaluation_frames(1, 3, 4, "stride", 2) == [[0, 0, 0]] * 2


def test_segments_give_one_frame_each():
    for seed in range(20):
        numbers = training_frames(64, 16, 4, "segments", row(seed))
        assert [number // 4 for number in numbers] == list(range(16))


def test_five_clips_reach_from_the_first_frame_to_the_last():
    clips = evaluation_frames(300, 16, 4, "stride", 5)
    # by hand: 239 free starts, in quarters
    assert [clip[0] for clip in clips] == [0, 60, 120, 179, 239]
    assert clips[-1][-1] == 299


def test_two_segment_clips_take_the_quarters_of_each_part():
    first, second = evaluation_frames(160, 16, 4, "segments", 2)
    assert first == [10 * i + 2 for i in range(16)]
    assert second == [10 * i + 7 for i in range(16)]
