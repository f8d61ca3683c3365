"""Frames of one pixel and their way through the engine, for the tests of video/render and video/schedule."""

from fractions import Fraction

import numpy as np

from helpers.clips import Average
from video.frame import Frame
from video.render.network import Network
from video.render.pipeline import render
from video.schedule.timeline import plan


def flat(*values: int) -> list[Frame]:
    """One-pixel frames, a second apart."""
    return [Frame(np.full((1, 1, 3), v, np.uint8), Fraction(i), f"frame {i + 1}") for i, v in enumerate(values)]


def convert(frames, timeline, *, depth=4, model=None, **options) -> list:
    """All output frames of a source whose last frame lasts one second."""
    spans = plan(frames, timeline, until=lambda last, longest: last + 1, **options)
    return list(render(spans, Network(model or Average()), depth))
