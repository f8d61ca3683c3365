"""The page: what stands where, and what happens at which click."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr
import numpy as np

from datasets.clips import decode_clip, find_clip
from utils import write_image

from .jobs import (
    Amount,
    Setup,
    WatchedModel,
    compared,
    figures,
    inside,
    interpolate_clip,
    interpolate_pair,
    open_image,
    plain_message,
)

AMOUNTS = ("Network chooses", "Threshold ratio", "Budget")
AGAINST = ("average of both", "first frame", "last frame")
IMAGE = {"format": "png", "height": 240, "min_width": 150}
MULTIPLIERS = (2, 4, 8)
EXAMPLE = ("bikes", 66, 68)  # clip, first and last frame
STYLE = """
.gradio-container { max-width: 1440px !important; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; }
.figures > div { display: flex; flex-direction: column; padding: 10px 14px; border-radius: 8px;
  border: 1px solid var(--border-color-primary); background: var(--background-fill-primary); }
.figures b { font-size: 1.5rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.figures small { color: var(--body-text-color-subdued); }
.figures .bar { height: 4px; margin: 2px 0 6px; border-radius: 2px; background: var(--border-color-primary); }
.figures .bar i { display: block; height: 100%; border-radius: 2px; background: var(--color-accent); }
#inside, #inside .gallery-container, #inside .grid-wrap { height: auto !important; min-height: 0; max-height: none; }
#inside .grid-container { align-items: start; gap: 14px; padding-top: 32px; height: auto; }
#inside .gallery-item { height: auto; align-self: start; }
#inside .thumbnail-item { aspect-ratio: auto; height: auto; display: block; border: none; background: none;
  box-shadow: none; }
#inside .thumbnail-item img { height: auto; border-radius: 6px; }
#inside .caption-label { position: static; max-width: none; border: none; background: none; padding: 4px 2px;
  text-align: left; white-space: normal; }
@media (max-width: 700px) { #inside .grid-container { grid-template-columns: repeat(2, 1fr) !important; } }
"""


def build_page(setup: Setup, *, ratio: float | None = None, budget: float | None = None) -> gr.Blocks:
    """The page. ratio, budget: where the controls start; neither: the network's choice."""
    with gr.Blocks(title="WaveletVFI", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown(f"# WaveletVFI\nFrames between frames, found in the wavelet domain. Weights: `{setup.weights}`")
        with gr.Row():
            with gr.Column(scale=2, min_width=340):
                first, last, run_pair, clip, multiplier, run_clip = _inputs(setup)
                amount = _amount_controls(setup, ratio, budget)
            with gr.Column(scale=3, min_width=480):
                results = _results()
        gallery = gr.Gallery(elem_id="inside", label="Inside", columns=4, format="png", visible=False)
        on_pair, on_clip = _handlers(setup)
        one_by_one = {"concurrency_id": "network", "concurrency_limit": 1}
        run = {"outputs": [*results, gallery], "show_progress_on": results[1], **one_by_one}
        run_pair.click(on_pair, [first, last, *amount], **run)
        run_clip.click(on_clip, [clip, multiplier, *amount], **run)
    return page


def launch(page: gr.Blocks, *, host: str, port: int, max_mib: int) -> None:
    """Serve the page in the background; fonts are those of the reader's system, nothing is fetched from elsewhere."""
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    page.launch(
        server_name=host,
        server_port=port,
        max_file_size=max_mib * 2**20,
        theme=gr.themes.Base(primary_hue="blue", neutral_hue="slate", **fonts),
        css=STYLE,
        footer_links=[],
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
    )


def _inputs(setup: Setup) -> tuple[gr.Component, ...]:
    """First and last frame, the button that runs them, clip, multiplier, the button that runs it."""
    with gr.Tab("Two images"):
        with gr.Row():
            first, last = (
                gr.Image(elem_id=name, label=f"{name} frame".capitalize(), sources=["upload", "clipboard"], **IMAGE)
                for name in ("first", "last")
            )
        for image in (first, last):
            # The file as it is: reading it, and saying what is wrong with it, is `open_image`'s.
            image.preprocess = lambda payload: payload and payload.path
            image.upload(lambda path: _shown(setup, path), image, image, show_progress="hidden")
        with gr.Row():
            example = gr.Button("Use an example", min_width=140)
            run_pair = gr.Button("Interpolate", variant="primary", min_width=140)
        example.click(_example, outputs=[first, last], show_progress="hidden")
        gr.Markdown(f"Two images of one size, up to {setup.limits.megapixels:g} megapixels.")
    with gr.Tab("A clip"):
        clip = gr.Video(elem_id="clip", label="Clip", sources=["upload"], height=280)
        multiplier = gr.Radio(MULTIPLIERS, value=2, label="Times as many frames")
        run_clip = gr.Button("Interpolate the clip", variant="primary")
        gr.Markdown(f"Up to {setup.limits.frames} frames of {setup.limits.megapixels:g} megapixels; sound is kept.")
    return first, last, run_pair, clip, multiplier, run_clip


def _amount_controls(setup: Setup, ratio: float | None, budget: float | None) -> tuple[gr.Component, ...]:
    """What is asked for, one of `AMOUNTS`; the ratio; the budget."""
    start = "Budget" if budget is not None else "Threshold ratio" if ratio is not None else "Network chooses"
    choice = gr.Radio(AMOUNTS, value=start, label="How much is computed")
    candidates = setup.model.config.ratios
    most = max(4 * max(candidates), ratio or 0) or 1.0
    offered = ", ".join(f"{candidate:g}" for candidate in candidates)
    ratio_slider = gr.Slider(
        *(0, most, max(candidates) if ratio is None else ratio),
        step=most / 200,
        label="Threshold ratio",
        info=f"0 computes all details, a larger one fewer. The network itself chooses among {offered}.",
        visible=start == "Threshold ratio",
    )
    budget_slider = gr.Slider(
        *(0, 1, 0.3 if budget is None else min(budget, 1)),
        step=0.01,
        label="Budget",
        info="At most this fraction of the dense synthesis, for every pair of frames.",
        visible=start == "Budget",
    )
    sliders = [ratio_slider, budget_slider]
    choice.change(
        lambda chosen: [gr.update(visible=chosen == slider.label) for slider in sliders],
        *(choice, sliders),
        show_progress="hidden",
    )
    return choice, *sliders


def _results() -> list[gr.Component]:
    """What `_found` fills: clip, comparison, what is compared, figures, the file to take away, pictures, their data."""
    pictures = gr.State({})
    smooth = gr.Video(label="The smooth clip", visible=False, autoplay=True, loop=True, height=360)
    comparison = gr.ImageSlider(label="Left: average of both. Right: the frame between", format="png", max_height=460)
    against = gr.Radio(AGAINST, value=AGAINST[0], label="Held against", visible=False)
    numbers = gr.HTML()
    file = gr.DownloadButton("Download", visible=False)
    against.change(_held_against, [pictures, against], comparison, show_progress="hidden")
    return [smooth, comparison, against, numbers, file, pictures]


def _handlers(setup: Setup) -> tuple[Callable[..., list], Callable[..., list]]:
    """What the two buttons do."""
    waiting = gr.Progress()

    def on_pair(first: str | None, last: str | None, choice: str, ratio: float, budget: float) -> list:
        with _told(first, last):
            watched = interpolate_pair(setup, [first, last], _amount(choice, ratio, budget))
            file = _new_file(setup, "middle.png")
            write_image(file, watched.liveliest.output.frame)
        return _found(watched, gr.DownloadButton("Download the frame", value=file, visible=True))

    def on_clip(
        clip: str | None, multiplier: int, choice: str, ratio: float, budget: float, progress: gr.Progress = waiting
    ) -> list:
        def report(done: int, expected: int | None) -> None:
            progress((done, expected), desc="Frames", unit="frames")

        with _told(clip):
            file = _new_file(setup, f"{Path(clip or '').stem}_x{multiplier}.mp4")
            amount = _amount(choice, ratio, budget)
            watched, summary = interpolate_clip(setup, clip, file, amount, multiplier=multiplier, report=report)
        if summary.damage:
            damage = ValueError(f"{summary.damage}; the smooth clip holds what can be read")
            gr.Warning(plain_message(damage, clip), duration=None)
        return _found(watched, gr.DownloadButton("Download the clip", value=file, visible=True), file)

    return on_pair, on_clip


def _found(watched: WatchedModel, download: gr.DownloadButton, clip: Path | None = None) -> list:
    """The new state of all that `_results` made."""
    pictures = compared(watched.liveliest)
    return [
        gr.Video(clip, visible=clip is not None),
        _held_against(pictures, AGAINST[0]),
        gr.Radio(value=AGAINST[0], visible=True),
        figures(watched),
        download,
        pictures,
        gr.Gallery(inside(watched.liveliest), label=f"Inside{', where most moves' if clip else ''}", visible=True),
    ]


def _held_against(pictures: dict[str, np.ndarray], name: str) -> gr.ImageSlider:
    return gr.ImageSlider((pictures[name], pictures["middle frame"]), label=f"Left: {name}. Right: the frame between")


def _amount(choice: str, ratio: float, budget: float) -> Amount:
    return {"Threshold ratio": {"ratio": ratio}, "Budget": {"budget": budget}}.get(choice, {})


def _example() -> list[np.ndarray]:
    """Two frames of a real clip."""
    name, first, last = EXAMPLE
    frames = decode_clip(find_clip(name), last + 1)
    return [frames[index].permute(1, 2, 0).numpy() for index in (first, last)]


def _shown(setup: Setup, path: str) -> np.ndarray | None:
    """An uploaded image as the network will see it, at once; what cannot be used is said and taken away."""
    try:
        return open_image(path, setup.limits)
    except (ValueError, OSError) as error:
        gr.Warning(plain_message(error, path), duration=None)
        return None


def _new_file(setup: Setup, name: str) -> Path:
    return Path(tempfile.mkdtemp(dir=setup.folder)) / name


@contextlib.contextmanager
def _told(*paths: str | None) -> Iterator[None]:
    """What the user can mend is said on the page."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise gr.Error(plain_message(error, *paths), duration=None, print_exception=False) from error
