"""Clips on the web page: what is made of them, how they are shown, and how a job is stopped."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from helpers.clips import make_clip, square
from helpers.mutants import KINDS, make_originals
from PIL import Image

from video import Options, VideoReader
from web.figures import LARGEST, LOOP, in_words, is_played, playable, write_loop, write_preview
from web.jobs import Countdown, Limits, Setup, Stopped, Stops, check_clip, interpolate_clip
from web.jobs import Pair as Found

LIMITS = Limits(megapixels=0.01, frames=6)


@pytest.fixture
def setup(tmp_path, small) -> Setup:
    return Setup(small, "small.pth", torch.device("cpu"), LIMITS, tmp_path)


@pytest.fixture
def clip(tmp_path):
    """Four frames, 24 per second."""
    return make_clip(tmp_path / "clip.mp4", [square(k) for k in range(4)], rate=Fraction(24), pix_fmt="yuv420p")


# What is made of a clip


@pytest.mark.parametrize(
    ("options", "frames", "rate"),
    [
        (Options(multiplier=4), 16, 96),
        (Options(fps=Fraction(60)), 10, 60),
        (Options(slow=2), 8, 24),
    ],
)
def test_a_clip_gets_more_frames_a_rate_or_time(setup, clip, tmp_path, options, frames, rate):
    _, summary = interpolate_clip(setup, str(clip), tmp_path / "out.mp4", options, report=lambda *_: None)
    reader = VideoReader(tmp_path / "out.mp4")
    assert summary.frames == len(list(reader.frames())) == frames and reader.rate == rate
    assert in_words(summary).startswith(f"{frames} frames, {summary.made} of them made by the network")


@pytest.mark.parametrize("name", ["clip.gif", "clip.webp"])
def test_a_moving_image_is_a_clip(setup, tmp_path, name):
    images = [Image.fromarray(square(k)) for k in range(3)]
    images[0].save(tmp_path / name, save_all=True, append_images=images[1:], duration=100)
    check_clip(tmp_path / name, LIMITS)
    _, summary = interpolate_clip(
        setup, str(tmp_path / name), tmp_path / "out.mp4", Options(multiplier=2), report=lambda *_: None
    )
    assert summary.frames == 6
    assert len(list(VideoReader(playable(tmp_path / name, tmp_path)).frames())) == 3


def test_what_would_become_too_long_is_refused_before_anything_is_computed(setup, clip, tmp_path):
    with pytest.raises(ValueError, match=r"clip\.mp4 would become 120 frames, this page makes 48: ask for fewer"):
        interpolate_clip(setup, str(clip), tmp_path / "out.mp4", Options(fps=Fraction(720)), report=pytest.fail)


def test_a_rate_that_is_no_multiple_does_not_make_a_clip_too_long(setup, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", [square(k) for k in range(LIMITS.frames)], rate=Fraction(24))
    options = Options(fps=Fraction(241, 10))
    _, summary = interpolate_clip(setup, str(clip), tmp_path / "out.mp4", options, report=lambda *_: None)
    assert summary.frames == LIMITS.frames + 1


# How it is shown


def test_every_kind_of_video_can_be_shown(tmp_path):
    """A browser plays 8-bit H.264 with halved colour; what is not such gets a preview that is."""
    for path, (suffix, codec, pix_fmt, *_) in zip(make_originals(tmp_path), KINDS, strict=False):
        folder = tmp_path / f"{path.name} previews"
        folder.mkdir()
        shown = playable(path, folder)
        plain = suffix == ".mp4" and codec in ("libx264", "libsvtav1") and pix_fmt == "yuv420p"
        plain = plain or (suffix, codec) == (".webm", "libvpx-vp9")
        assert (shown == path) == plain, path
        with av.open(str(shown)) as container:
            context = container.streams.video[0].codec_context
            assert plain or (context.codec.canonical_name, context.pix_fmt) == ("h264", "yuv420p")
        assert is_played(shown)
        assert len(list(VideoReader(shown).frames())) == len(list(VideoReader(path).frames()))


def test_a_preview_looks_like_the_video_and_lasts_as_long(tmp_path):
    images = [square(k, 96, 128) for k in range(10)]
    source = make_clip(tmp_path / "clip.avi", images, codec="mpeg4", pix_fmt="yuv420p", rate=Fraction(10))
    write_preview(source, tmp_path / "a.mp4")
    write_preview(source, tmp_path / "b.mp4", frames=5)
    frames = [frame.image for frame in VideoReader(tmp_path / "a.mp4").frames()]
    expected = [frame.image for frame in VideoReader(source).frames()]
    assert len(frames) == 10 and VideoReader(tmp_path / "a.mp4").duration == 1
    for frame, image in zip(frames, expected, strict=True):
        assert np.abs(frame.astype(int) - image).mean() < 3
    assert len(list(VideoReader(tmp_path / "b.mp4").frames())) == 5
    assert len(list(VideoReader(playable(source, tmp_path, frames=3)).frames())) == 3


@pytest.mark.parametrize("size", [(31, 47), (1, 5), (1200, 40), (20, 2000)])
def test_a_preview_has_even_sides_and_is_small(tmp_path, size):
    height, width = size
    source = make_clip(tmp_path / "clip.mkv", [np.full((*size, 3), 90, np.uint8)] * 2, codec="ffv1", pix_fmt="bgr0")
    write_preview(source, tmp_path / "a.mp4")
    rows, columns = VideoReader(tmp_path / "a.mp4").size
    assert rows % 2 == columns % 2 == 0 and max(rows, columns) <= LARGEST
    assert abs(rows / columns / (height / width) - 1) < 0.1 or min(rows, columns) == 2


def test_a_damaged_video_is_shown_as_far_as_it_can_be_read(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", [square(k) for k in range(6)], fast_start=True, pix_fmt="yuv444p")
    clip.write_bytes(clip.read_bytes()[:-40])
    assert 0 < len(list(VideoReader(playable(clip, tmp_path)).frames())) < 6


def test_words_cannot_be_shown(tmp_path):
    (tmp_path / "words.mp4").write_text("just some words\n" * 20)
    with pytest.raises(ValueError, match=r"words\.mp4 is not a video"):
        playable(tmp_path / "words.mp4", tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("size", [(48, 64), (400, 1600)])
def test_the_loop_shows_before_between_and_after_by_turns(tmp_path, small, size):
    img0, img1 = (torch.full((1, 3, *size), value) for value in (0.2, 0.8))
    output = small.interpolate_details(img0, img1)._replace(frame=torch.full((1, 3, *size), 0.5))
    write_loop(Found(img0, img1, output, 0.0), tmp_path / "loop.webp")
    with Image.open(tmp_path / "loop.webp") as image:
        greys = []
        for index in range(image.n_frames):
            image.seek(index)
            greys.append(np.asarray(image.convert("L"))[5, 5].item())
    assert greys == pytest.approx([51, 128, 204, 128], abs=4) and image.width <= 960
    assert LOOP == ("before", "between", "after")


# How far a job is, and how it is stopped


def test_the_time_left_is_what_the_frames_so_far_took():
    seconds, shown = [100.0], []
    countdown = Countdown(lambda part, text: shown.append((part, text)), clock=lambda: seconds[0])
    countdown(10, 50)
    seconds[0] += 20
    countdown(20, 50)
    seconds[0] += 20
    countdown(50, 50)
    countdown(7, None)
    assert shown == [
        (0.2, "10 of 50 frames"), (0.4, "20 of 50 frames, 60 s left"), (1.0, "50 of 50 frames"), (None, "7 frames"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (91, "2 min"), (3599, "1 h 0 min"), (7500, "2 h 5 min")]
)
def test_times_are_said_as_people_say_them(seconds, text):
    clock, shown = iter([0.0, seconds]), []
    countdown = Countdown(lambda part, text: shown.append(text), clock=lambda: next(clock))
    countdown(0, 2)
    countdown(1, 2)
    assert shown[-1] == f"1 of 2 frames, {text} left"


def test_a_job_stops_when_it_is_told_to_and_no_other_does(setup, clip, tmp_path):
    stops = Stops()
    stops.begin("me")
    stops.begin("other")
    countdown = Countdown(lambda part, text: stops.stop("me") if part else None, stops.event("me"))
    with pytest.raises(Stopped):
        interpolate_clip(setup, str(clip), tmp_path / "out.mp4", Options(multiplier=2), report=countdown)
    assert not (tmp_path / "out.mp4").exists() and not stops.event("other").is_set()
    stops.stop("nobody")


def test_a_job_can_be_stopped_before_it_begins_and_a_new_one_stops_the_last():
    stops = Stops()
    stops.begin("me")
    first = stops.event("me")
    stops.stop("me")
    assert first.is_set() and stops.event("me") is first
    stops.begin("me")
    second = stops.event("me")
    assert not second.is_set()
    stops.begin("me")
    third = stops.event("me")
    assert second.is_set() and not third.is_set()
    stops.finish("me", second)
    assert stops.event("me") is third and not third.is_set()
    stops.finish("me", third)
    assert stops.event("me").is_set() and not third.is_set()


def test_a_closed_page_stops_its_job_and_begins_none():
    stops = Stops()
    stops.begin("me")
    event = stops.event("me")
    stops.end("me")
    assert event.is_set() and stops.event("me").is_set()
    with pytest.raises(Stopped):
        Countdown(lambda part, text: pytest.fail(text), stops.event("me"))(0, 10)
    stops.end("nobody")
