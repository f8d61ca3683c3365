"""The words and the numbers about a result on the web page."""

import functools
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from video import Summary

from .jobs import WatchedModel

TEMPLATES = Path(__file__).with_name("templates")


class Tile(NamedTuple):
    """A number on the page.

    value: the number with its unit.
    name: its name.
    note: a remark in small letters.
    share: the length of a bar, 0 to 1; None for no bar.
    """

    value: str
    name: str
    note: str
    share: float | None = None


def figures(watched: WatchedModel) -> str:
    """Return time, cost, ratio and operations as HTML."""
    pair, count = watched.liveliest, len(watched.costs)
    output, (height, width) = pair.output, pair.img0.shape[-2:]
    cost = sum(watched.costs) / count
    executed, published = output.executed_gmacs.item(), output.published_gmacs.item()
    tiles = [
        Tile(f"{pair.seconds:.2f} s", "computing time", f"for one frame of {width}x{height} pixels"),
        Tile(
            f"{cost:.0%}", "of the details computed", "of this pair" if count == 1 else f"mean of {count} pairs", cost
        ),
        Tile(
            f"{output.candidates[0].ratio.item():.2g}", "threshold ratio", "details below it are skipped; 0: none are"
        ),
        Tile(f"{executed:.3g} billion", "multiplications", f"{published:.3g} as published tables count (GMACs)"),
    ]
    return _template().render(tiles=tiles)


def in_words(summary: Summary) -> str:
    """Return one sentence about a clip."""
    cuts = f" No frame was made across {_count(len(summary.cuts), 'cut')}." if summary.cuts else ""
    made = f"{_count(summary.frames, 'frame')}, {summary.made} of them made by the network"
    return f"{made}, in {summary.seconds:.0f} s.{cuts}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("figures.html")
