"""The layout of the page, and the action of each button."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from datasets.clips import EXAMPLE, decode_clip
from models.config import Passes
from utils import write_image
from video import Options

from .controls import Results, amount_controls, chosen_amount, chosen_times, time_controls, time_slider
from .figures import in_words, playable, write_preview
from .jobs import (
    Countdown,
    Setup,
    Stopped,
    Stops,
    check_clip,
    interpolate_clip,
    interpolate_pair,
    open_image,
    plain_message,
)

EXAMPLE_PAIR = 43, 45  # of the frames of the example clip
IMAGE = {"format": "png", "height": 240, "min_width": 150}
ONE_BY_ONE = {"concurrency_id": "network", "concurrency_limit": 1}
QUIET = {"show_progress": "hidden"}
TEMPLATES = Path(__file__).with_name("templates")


def build_page(setup: Setup, *, ratio: float | None = None, budget: float | None = None) -> gr.Blocks:
    """Lay out the page. The controls start with `ratio` or `budget`, or else with the network's choice."""
    stops = Stops()
    with gr.Blocks(title="WaveletVFI", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown(
            "# WaveletVFI\nThe frame between two images, or a clip that runs smoother or slower. "
            f"Weights: `{setup.weights}`"
        )
        with gr.Tab("Two images"):
            _pair_tab(setup, ratio, budget)
        with gr.Tab("A clip"):
            _clip_tab(setup, stops, ratio, budget)

        def end(request: gr.Request) -> None:
            stops.end(request.session_hash)

        page.unload(end)
    return page


def launch(page: gr.Blocks, *, host: str, port: int, max_mib: int) -> None:
    """Serve the page in the background. It uses the fonts of the reader's system and loads nothing from elsewhere."""
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    page.launch(
        server_name=host,
        server_port=port,
        max_file_size=max_mib * 2**20,
        theme=gr.themes.Base(primary_hue="blue", neutral_hue="slate", **fonts),
        css=(TEMPLATES / "page.css").read_text(),
        footer_links=[],
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
    )


def _pair_tab(setup: Setup, ratio: float | None, budget: float | None) -> None:
    """Lay out the two images, the button, and the result."""
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            with gr.Row():
                first, last = (
                    gr.Image(elem_id=name, label=f"{name} frame".capitalize(), sources=["upload", "clipboard"], **IMAGE)
                    for name in ("first", "last")
                )
            with gr.Row():
                example = gr.Button("Use an example", min_width=140)
                run = gr.Button("Interpolate", variant="primary", min_width=140)
            time = time_slider(setup)
            gr.Markdown(f"Two images of one size, up to {setup.limits.megapixels:g} megapixels.")
            amounts = amount_controls(setup, ratio, budget)
        with gr.Column(scale=3, min_width=320):
            shown = Results()
    shown.render_inside()
    for image in (first, last):
        # Gradio passes the path of the file. `open_image` reads it and reports errors.
        image.preprocess = lambda payload: payload and payload.path
        image.upload(lambda path: _shown(setup, path), image, image, **QUIET)
        image.change(shown.clear, outputs=shown.parts, **QUIET)
    example.click(_example_pair, outputs=[first, last], **QUIET)

    def on_pair(first: str | None, last: str | None, t: float, *chosen: Any) -> list:
        amount, passes = chosen_amount(*chosen)
        t = t if setup.model.config.any_time else None
        with _showing_errors(first, last):
            watched = interpolate_pair(setup, [first, last], amount, t=t, passes=passes)
            file = _new_folder(setup) / "middle.png"
            write_image(file, watched.liveliest.output.frame)
        return shown.show(watched, file)

    run.click(on_pair, [first, last, time, *amounts], shown.parts, show_progress_on=shown.waiting, **ONE_BY_ONE)


def _clip_tab(setup: Setup, stops: Stops, ratio: float | None, budget: float | None) -> None:
    """Lay out the clip, the buttons that start and stop the job, and the result."""
    limits = setup.limits
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            clip = gr.File(elem_id="clip", label="Clip", height=130)
            example = gr.Button("Use an example", size="sm", elem_id="clip-example")
            preview = gr.Video(elem_id="preview", label="Your clip", visible=False, height=240)
            times = time_controls()
            with gr.Row():
                run = gr.Button("Interpolate the clip", variant="primary", scale=2, min_width=180)
                stop = gr.Button("Stop", variant="stop", scale=1, min_width=80, interactive=False, elem_id="stop")
            gr.Markdown(
                f"A video or an animated GIF, up to {limits.frames} frames of {limits.megapixels:g} megapixels. "
                "Sound is kept, unless the clip is slowed down."
            )
            asked = [*times, *amount_controls(setup, ratio, budget)]
        with gr.Column(scale=3, min_width=320):
            shown = Results(clip=True)
    shown.render_inside()
    clip.upload(lambda path: _previewed(setup, path), clip, [clip, preview], show_progress_on=clip)
    clip.clear(lambda: gr.Video(None, visible=False), outputs=preview, **QUIET)
    clip.change(shown.clear, outputs=shown.parts, **QUIET)
    example.click(lambda: _example_clip(setup), outputs=[clip, preview], show_progress_on=clip)
    _connect_job(setup, stops, shown, run, stop, [clip, *asked], len(times))


def _connect_job(
    setup: Setup, stops: Stops, shown: Results, run: gr.Button, stop: gr.Button, inputs: list[gr.Component], times: int
) -> None:
    """Connect the buttons that start and stop a job.

    Args:
        inputs: the clip, the controls of the times, and those of the amount.
        times: the number of controls of the times.
    """
    waiting = gr.Progress()

    def on_clip(request: gr.Request, progress: gr.Progress = waiting, clip: str | None = None, *chosen: Any) -> list:
        event = stops.event(request.session_hash)
        countdown = Countdown(lambda part, text: progress(part, desc=text), event)
        try:
            with _showing_errors(clip):
                amount, passes = chosen_amount(*chosen[times:])
                options = Options(**chosen_times(*chosen[:times]), **amount)
                return _show_clip(setup, shown, clip, options, passes, countdown)
        finally:
            stops.finish(request.session_hash, event)

    def begin(request: gr.Request) -> list[gr.Button]:
        stops.begin(request.session_hash)
        return [gr.Button(interactive=False), gr.Button(interactive=True)]

    def end(request: gr.Request) -> gr.Button:
        stops.stop(request.session_hash)
        return gr.Button(interactive=False)

    def after() -> list[gr.Button]:
        return [gr.Button(interactive=True), gr.Button(interactive=False)]

    begun = run.click(begin, outputs=[run, stop], queue=False, **QUIET)
    ran = begun.then(on_clip, inputs, shown.parts, show_progress_on=shown.waiting, **ONE_BY_ONE)
    ran.then(after, outputs=[run, stop], queue=False, **QUIET)
    stop.click(end, outputs=stop, queue=False, **QUIET)


def _show_clip(
    setup: Setup, shown: Results, clip: str | None, options: Options, passes: Passes | None, countdown: Countdown
) -> list:
    """Make a clip. Return the new states of the components that show it, or empty ones if the job was stopped."""
    file = _new_folder(setup) / f"{Path(clip or '').stem}_smooth.mp4"
    try:
        watched, summary = interpolate_clip(setup, clip, file, options, report=countdown, passes=passes)
    except Stopped:
        shutil.rmtree(file.parent, ignore_errors=True)
        gr.Info("Stopped.")
        return shown.clear()
    if summary.damage:
        gr.Warning(plain_message(ValueError(f"{summary.damage}; the result ends there"), clip), duration=None)
    return shown.show(watched, file, clip=playable(file, file.parent), about=in_words(summary))


def _previewed(setup: Setup, path: str) -> tuple[str | None, gr.Video]:
    """Return an uploaded clip and a video to play. If the clip cannot be used, show the reason and remove it."""
    try:
        check_clip(path, setup.limits)
        shown = playable(Path(path), _new_folder(setup), frames=setup.limits.frames)
        return path, gr.Video(shown, visible=True)
    except (ValueError, OSError) as error:
        gr.Warning(plain_message(error, path), duration=None)
        return None, gr.Video(None, visible=False)


def _example_pair() -> list[np.ndarray]:
    """Return two frames of the example clip."""
    frames = decode_clip(EXAMPLE, max(EXAMPLE_PAIR) + 1)
    return [frames[index].permute(1, 2, 0).numpy() for index in EXAMPLE_PAIR]


def _example_clip(setup: Setup) -> tuple[str, gr.Video]:
    """Return the example clip, cut to the limit of the page, to use and to play."""
    file = _new_folder(setup) / EXAMPLE.name
    write_preview(EXAMPLE, file, frames=setup.limits.frames)
    return str(file), gr.Video(file, visible=True)


def _shown(setup: Setup, path: str) -> np.ndarray | None:
    """Return an uploaded image as the network will see it. If it cannot be used, show the reason and remove it."""
    try:
        return open_image(path, setup.limits)
    except (ValueError, OSError) as error:
        gr.Warning(plain_message(error, path), duration=None)
        return None


def _new_folder(setup: Setup) -> Path:
    return Path(tempfile.mkdtemp(dir=setup.folder))


@contextlib.contextmanager
def _showing_errors(*paths: str | None) -> Iterator[None]:
    """Show errors that the user can correct on the page."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise gr.Error(plain_message(error, *paths), duration=None, print_exception=False) from error
