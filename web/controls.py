"""The parts of the page that both tabs have: the controls for options, and the components that show a result."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from models.config import AUTO, Passes
from video import rational

from .figures import compared, figures, inside, write_loop
from .jobs import Amount, Setup, WatchedModel

AMOUNTS = ("Network chooses", "Threshold ratio", "Budget")
AGAINST = ("average of both", "first frame", "last frame")
MORE, RATE, SLOW = "More frames", "A frame rate", "Slow motion"
FACTORS = (2, 4, 8)
PASSES = {"Default": None, "1": 1, "2": 2, "3": 3, "By size": AUTO}
EDGE = 0.05  # the slider of times ends at this distance from a frame, where a new frame would hardly differ


def amount_controls(setup: Setup, ratio: float | None, budget: float | None) -> list[gr.Component]:
    """Lay out the controls for the amount of computation.

    The threshold ratio decides which details are computed. The budget limits their cost. The passes are runs of the
    motion network.

    Returns:
        The controls for `chosen_amount`: one of `AMOUNTS`, the ratio, the budget, and one of `PASSES`.
    """
    start = "Budget" if budget is not None else "Threshold ratio" if ratio is not None else "Network chooses"
    candidates = setup.model.config.ratios
    most = max(4 * max(candidates), ratio or 0) or 1.0
    offered = ", ".join(f"{candidate:g}" for candidate in candidates)
    default = "by size" if setup.model.config.passes == AUTO else setup.model.config.passes
    with gr.Accordion("Amount of computation", open=start != "Network chooses"):
        choice = gr.Radio(AMOUNTS, value=start, show_label=False, container=False)
        ratio_slider = gr.Slider(
            *(0, most, max(candidates) if ratio is None else ratio),
            step=most / 200,
            label="Threshold ratio",
            info=f"0 computes all details, a larger ratio fewer. The network itself chooses among {offered}.",
            visible=start == "Threshold ratio",
        )
        budget_slider = gr.Slider(
            *(0, 1, 0.3 if budget is None else min(budget, 1)),
            step=0.01,
            label="Budget",
            info="At most this part of all details is computed for a pair of frames. Less is faster.",
            visible=start == "Budget",
        )
        passes = gr.Radio(
            tuple(PASSES),
            value="Default",
            label="Passes of the motion network",
            info=f"Three passes find larger motion than one, and take longer. The default of these weights: {default}.",
            elem_classes="passes",
        )
    _show_chosen(choice, {"Threshold ratio": ratio_slider, "Budget": budget_slider})
    return [choice, ratio_slider, budget_slider, passes]


def chosen_amount(choice: str, ratio: float, budget: float, passes: str) -> tuple[Amount, Passes | None]:
    """Return the values of the controls of `amount_controls`: the amount, and the passes."""
    amount = {"Threshold ratio": {"ratio": ratio}, "Budget": {"budget": budget}}.get(choice, {})
    return amount, PASSES[passes]


def time_slider(setup: Setup) -> gr.Slider:
    """Lay out the time of the frame between two images, 0 to 1. It is visible if the weights make any time."""
    return gr.Slider(
        *(EDGE, 1 - EDGE, 0.5),
        step=EDGE,
        label="Time of the frame",
        info="0 is the first frame, 1 the last one, 0.5 the middle.",
        visible=setup.model.config.any_time,
        elem_id="time",
    )


def time_controls() -> list[gr.Component]:
    """Lay out the controls for the number of frames and their times. Return them for `chosen_times`."""
    mode = gr.Radio((MORE, RATE, SLOW), value=MORE, label="Result to make")
    more = gr.Radio(FACTORS, value=FACTORS[0], label="Times as many frames")
    rate = gr.Number(60, label="Frames per second", info="Such as 60 or 59.94.", visible=False, elem_id="rate")
    slow = gr.Radio(FACTORS, value=FACTORS[0], label="Times as long", visible=False)
    _show_chosen(mode, {MORE: more, RATE: rate, SLOW: slow})
    return [mode, more, rate, slow]


def chosen_times(mode: str, more: int, rate: float | None, slow: int) -> dict[str, Any]:
    """Return the values of the controls of `time_controls`, as fields of `video.Options`.

    Raises:
        ValueError: the frame rate is missing.
    """
    if mode == RATE and rate is None:
        raise ValueError("the number of frames per second is missing; 60 suits most screens")
    return {MORE: {"multiplier": more}, RATE: {"fps": rational(f"{rate or 0:g}")}, SLOW: {"slow": slow}}[mode]


class Results:
    """The components that show a result.

    Attributes:
        parts: all components that a new result changes.
        waiting: the component that shows the progress of a job.
        inside: the column with the pictures of the inside of the network. `render_inside` places it.
    """

    def __init__(self, *, clip: bool = False):
        """Lay out the components. With `clip`, the result is a clip, and pictures show its pair with most motion."""
        self._is_clip = clip
        label = "The pair with most motion: before, between, after" if clip else "Before, between, after"
        options = {"autoplay": True, "loop": True, "height": 360}
        self._smooth = gr.Video(label="Result", elem_id="result" if clip else None, visible=clip, **options)
        self._file = gr.DownloadButton("Download", visible=False, render=clip)
        self._about = gr.Markdown(visible=False)
        self._loop = gr.Image(
            label=label,
            elem_classes="loop",
            interactive=False,
            format="webp",
            visible=not clip,
            buttons=["fullscreen"],
        )
        if not clip:
            self._file.render()
        self._comparison = gr.ImageSlider(format="png", max_height=460, visible=False, buttons=["fullscreen"])
        self._against = gr.Radio(AGAINST, value=AGAINST[0], label="Compare with", visible=False)
        self._pictures = gr.State({})
        title = "Inside the network"
        self._gallery = gr.Gallery(elem_classes="inside", label=title, columns=4, format="png", render=False)
        self._numbers = gr.HTML(render=False)
        self.inside = gr.Column(visible=False, render=False)
        self.waiting = self._smooth if clip else self._loop
        self.parts = [
            *(self._smooth, self._file, self._about, self._loop, self._comparison, self._against),
            *(self._pictures, self._gallery, self._numbers, self.inside),
        ]
        self._against.change(_compared_with, [self._pictures, self._against], self._comparison, show_progress="hidden")

    def render_inside(self) -> None:
        """Place the pictures of the inside of the network, and its numbers below them."""
        self.inside.render()
        with self.inside:
            self._gallery.render()
            self._numbers.render()

    def clear(self) -> list:
        """Return the new states of `parts` without a result."""
        return [
            *(gr.Video(None), gr.DownloadButton(value=None, visible=False), gr.Markdown(visible=False)),
            *(gr.Image(None, visible=not self._is_clip), gr.ImageSlider(visible=False), gr.Radio(visible=False)),
            *({}, None, "", gr.Column(visible=False)),
        ]

    def show(self, watched: WatchedModel, file: Path, *, clip: Path | None = None, about: str = "") -> list:
        """Return the new states of `parts` with a result.

        Args:
            watched: the network after the job.
            file: the file to download.
            clip: the video to play.
            about: a sentence about the result.
        """
        pictures, loop = compared(watched.liveliest), file.with_name("loop.webp")
        write_loop(watched.liveliest, loop)
        name = "Download the clip" if self._is_clip else "Download the frame"
        return [
            gr.Video(clip, label="Result" if clip in (None, file) else "Result: a preview without sound"),
            gr.DownloadButton(name, value=file, visible=True),
            gr.Markdown(about, visible=bool(about)),
            gr.Image(loop, visible=True),
            _compared_with(pictures, AGAINST[0]),
            gr.Radio(value=AGAINST[0], visible=True),
            *(pictures, inside(watched.liveliest), figures(watched), gr.Column(visible=True)),
        ]


def _show_chosen(choice: gr.Radio, controls: dict[str, gr.Component]) -> None:
    """Show the control of the chosen option, and hide the others."""

    def shown(chosen: str) -> Sequence[dict]:
        updates = [gr.update(visible=name == chosen) for name in controls]
        return updates if len(updates) > 1 else updates[0]

    choice.change(shown, choice, list(controls.values()), show_progress="hidden")


def _compared_with(pictures: dict[str, np.ndarray], name: str) -> gr.ImageSlider:
    return gr.ImageSlider((pictures[name], pictures["middle frame"]), label=f"{name} | the frame between", visible=True)
