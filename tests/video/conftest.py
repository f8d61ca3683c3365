"""Fixtures that several tests of videos ask for."""

import pytest
from helpers.clips import Instant

import interpolate


@pytest.fixture
def instant_network(monkeypatch):
    """Let interpolate.py work without a network."""
    monkeypatch.setattr(interpolate, "network", lambda args, device: Instant())


@pytest.fixture
def short_segments(monkeypatch):
    """Let a job save what is finished after every four source frames."""
    monkeypatch.setattr("video.schedule.timeline.SEGMENT", 4)
