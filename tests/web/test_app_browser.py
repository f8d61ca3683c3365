"""The web page in a real browser: Debian's chromium, driven by Playwright. Nothing may leave the machine."""

import contextlib
import importlib.util
import shutil
import time
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from helpers.clips import make_clip, packets, square
from helpers.runs import launch
from PIL import Image

from models import default_checkpoint, waveletvfi
from models.loading import choose_precision
from utils import read_image, tensor_to_image
from video import VideoReader

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = [name for name in ("gradio", "playwright") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING) or CHROMIUM is None, reason=f"needs {', '.join(MISSING) or 'chromium'}"),
    # Chromium hung once for more than an hour where no step of Playwright has a time limit. Only that is repeated.
    pytest.mark.timeout(300),
    pytest.mark.flaky(reruns=1, only_rerun=["crashed"]),
]
#: app.py, telling of every address beyond this machine that the server itself looks up or connects to.
WATCHED = """
import runpy, sys
HERE = ("127.0.0.1", "::1", "localhost", None)
def watch(event, args):
    if event == "socket.getaddrinfo" and args[0] not in HERE:
        print("LEAK: looks up", args[0], flush=True)
    if event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in HERE:
        print("LEAK: connects to", args[1], flush=True)
sys.addaudithook(watch)
runpy.run_path("app.py", run_name="__main__")
"""
SECOND = 1000  # Playwright's unit is the millisecond


@pytest.fixture(scope="module")
def address():
    """Where the page is served; in the end the server must stop when told to, and have been nowhere else."""
    process = launch("-c", WATCHED, "--port", "0", "--max_frames", "60", "--max_megapixels", "0.24", "--max_mib", "1")
    lines = iter(process.stdout.readline, "")
    said = []
    url = next((line.split()[0] for line in lines if said.append(line) or line.startswith("http")), None)
    assert url, said
    yield url
    process.terminate()
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 143, rest
    assert "LEAK" not in "".join(said) + rest


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with (
        sync_playwright() as playwright,
        contextlib.closing(playwright.chromium.launch(executable_path=CHROMIUM)) as browser,
    ):
        yield browser


@pytest.fixture
def page(browser, address):
    """The page, loaded; every request of the browser must go to its server."""
    with contextlib.closing(browser.new_context(accept_downloads=True)) as context:
        page = context.new_page()
        page.set_default_timeout(60 * SECOND)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        page.get_by_role("button", name="Use an example").wait_for()
        yield page
        hosts = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme not in ("data", "blob")}
        assert hosts == {urlsplit(address).netloc}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Images and clips, good and bad."""
    tmp_path = tmp_path_factory.mktemp("files")
    for k, name in enumerate(["a", "b"]):
        Image.fromarray(square(2 * k)).save(tmp_path / f"{name}.png")
    Image.fromarray(square(0, 48, 80)).save(tmp_path / "wide.png")
    Image.fromarray(square(0, 500, 500)).save(tmp_path / "large.png")
    (tmp_path / "words.png").write_text("just some words\n" * 20)
    (tmp_path / "words.mp4").write_text("just some words\n" * 20)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8)).save(tmp_path / "heavy.png")
    squares = [square(k) for k in range(4)]
    make_clip(tmp_path / "clip.mp4", squares, pix_fmt="yuv420p", sound=[0.1])
    make_clip(tmp_path / "clip.avi", squares, codec="mpeg4", pix_fmt="yuv420p")
    make_clip(tmp_path / "hevc.mp4", squares, codec="libx265", options={"x265-params": "log-level=none"})
    make_clip(tmp_path / "deep.mkv", squares, pix_fmt="yuv420p10le")
    gif, *rest = (Image.fromarray(image) for image in squares)
    gif.save(tmp_path / "clip.gif", save_all=True, append_images=rest, duration=100)
    make_clip(tmp_path / "long.mp4", [square(k % 9) for k in range(61)], pix_fmt="yuv420p")
    return tmp_path


def upload(page, label: str, path: Path) -> None:
    """Give a file to the input of that name."""
    page.locator(f"#{label} input[type=file]").set_input_files(path)


def shown(page, label: str, kind: str = "img"):
    page.locator(f"#{label} {kind}").first.wait_for()


def said(page, words: str) -> None:
    """A message with these words comes up."""
    page.locator(".toast-body", has_text=words).first.wait_for()


def download(page, name: str, to: Path) -> Path:
    page.get_by_text(name).wait_for()
    with page.expect_download() as waiting:
        page.get_by_text(name).click()
    waiting.value.save_as(to)
    return to


def test_two_images_give_the_frame_between_and_how_it_was_found(page, folder):
    for label, name in (("first", "a.png"), ("last", "b.png")):
        upload(page, label, folder / name)
        shown(page, label)
    page.get_by_role("button", name="Amount of computation").click()
    page.get_by_label("Budget").check()
    page.get_by_label("number input for Budget").fill("0.25")
    page.get_by_role("button", name="Interpolate", exact=True).click()
    frame = read_image(download(page, "Download the frame", folder / "middle.png"))
    model = waveletvfi(default_checkpoint(), precision=choose_precision("cpu"))  # as the page by default
    expected = model.interpolate(read_image(folder / "a.png"), read_image(folder / "b.png"), budget=0.25)
    difference = tensor_to_image(frame).astype(int) - tensor_to_image(expected)
    assert np.abs(difference).max() <= 1
    assert float(page.locator(".figures b").nth(1).inner_text().rstrip("%")) <= 25
    assert page.locator(".inside img").count() == 8
    assert page.locator(".loop img").get_attribute("src").endswith("loop.webp")
    page.get_by_label("last frame").check()
    page.get_by_text("last frame | the frame between").wait_for()


def test_the_example_can_be_interpolated(page):
    page.get_by_role("button", name="Use an example").click()
    shown(page, "last")
    page.get_by_role("button", name="Interpolate", exact=True).click()
    page.get_by_text("Download the frame").wait_for()
    page.get_by_text("640x360 pixels").wait_for()


@pytest.mark.parametrize(
    ("name", "words"),
    [("words.png", "words.png is not an image"), ("large.png", "large.png has 500x500"), ("heavy.png", "exceed")],
)
def test_a_bad_image_is_said_at_once_and_not_kept(page, folder, name, words):
    upload(page, "first", folder / name)
    said(page, words)
    page.locator("#first").get_by_text("Click to Upload").wait_for()


def test_one_image_or_two_sizes_are_not_a_pair(page, folder):
    upload(page, "first", folder / "a.png")
    shown(page, "first")
    page.get_by_role("button", name="Interpolate", exact=True).click()
    said(page, "two images are needed")
    upload(page, "last", folder / "wide.png")
    shown(page, "last")
    page.get_by_role("button", name="Interpolate", exact=True).click()
    said(page, "the first is 64x48 and the last 80x48")


def test_a_clip_becomes_smoother_and_keeps_its_sound(page, folder):
    page.get_by_role("tab", name="A clip").click()
    upload(page, "clip", folder / "clip.mp4")
    shown(page, "preview", "video")
    page.get_by_label("4", exact=True).check()
    page.get_by_role("button", name="Interpolate the clip").click()
    smooth = download(page, "Download the clip", folder / "smooth.mp4")
    assert len(list(VideoReader(smooth).frames())) == 16
    assert packets(smooth) == packets(folder / "clip.mp4")
    assert page.locator(".inside img").count() == 8


def test_a_rate_and_slow_motion_can_be_asked_for(page, folder):
    page.get_by_role("tab", name="A clip").click()
    upload(page, "clip", folder / "clip.mp4")
    shown(page, "preview", "video")
    page.get_by_label("A frame rate").check()
    page.locator("#rate input").fill("59.94")
    page.get_by_role("button", name="Interpolate the clip").click()
    assert VideoReader(download(page, "Download the clip", folder / "a.mp4")).rate == Fraction(60000, 1001)
    page.get_by_label("Slow motion").check()
    page.get_by_role("button", name="Interpolate the clip").click()
    page.get_by_text("8 frames, 3 of them made").wait_for()
    slow = VideoReader(download(page, "Download the clip", folder / "b.mp4"))
    assert slow.rate == Fraction(24000, 1001) and len(list(slow.frames())) == 8


@pytest.mark.parametrize("name", ["clip.avi", "hevc.mp4", "deep.mkv", "clip.gif"])
def test_what_the_browser_does_not_play_has_a_preview_that_plays(page, folder, name):
    page.get_by_role("tab", name="A clip").click()
    upload(page, "clip", folder / name)
    for where in ("preview", "result"):
        video = page.locator(f"#{where} video").first
        video.wait_for()
        page.wait_for_function("video => video.readyState >= 2 && video.videoWidth > 0", arg=video.element_handle())
        assert page.get_by_text("not playable").count() == 0
        if where == "preview":
            page.get_by_role("button", name="Interpolate the clip").click()
            page.get_by_text("Download the clip").wait_for()


def test_the_example_clip_can_be_stopped_and_another_job_follows(page):
    page.get_by_role("tab", name="A clip").click()
    page.locator("#clip-example").click()
    shown(page, "preview", "video")
    assert page.locator("#stop").is_disabled()
    page.get_by_role("button", name="Interpolate the clip").click()
    page.get_by_text("frames, ").first.wait_for()  # and the time left
    page.locator("#stop:enabled").wait_for()
    assert page.get_by_role("button", name="Interpolate the clip").is_disabled()  # one job at a time
    page.locator("#stop:enabled").click()
    page.get_by_text("Stopped.").wait_for()
    page.locator("#stop:disabled").wait_for()
    page.get_by_role("button", name="Interpolate the clip", disabled=False).wait_for()
    assert page.get_by_text("Download the clip").count() == 0
    page.get_by_role("tab", name="Two images").click()
    page.get_by_role("button", name="Use an example").first.click()
    shown(page, "last")
    page.get_by_role("button", name="Interpolate", exact=True).click()
    page.get_by_text("Download the frame").wait_for()


def test_a_page_that_is_loaded_again_ends_its_job_and_the_next_one_does_not_wait_for_it(page):
    page.get_by_role("tab", name="A clip").click()
    page.locator("#clip-example").click()
    shown(page, "preview", "video")
    page.get_by_label("8", exact=True).check()
    page.get_by_role("button", name="Interpolate the clip").click()
    page.get_by_text("frames, ").first.wait_for()
    page.reload()
    started = time.monotonic()
    page.get_by_role("button", name="Use an example").first.click()
    shown(page, "last")
    page.get_by_role("button", name="Interpolate", exact=True).click()
    page.get_by_text("Download the frame").wait_for()
    pair = float(page.locator(".figures b").first.inner_text().removesuffix(" s"))
    assert time.monotonic() - started < max(20, 50 * pair)  # the job had 337 frames to make


def test_each_tab_has_its_own_result_which_another_input_removes(page, folder):
    for label, name in (("first", "a.png"), ("last", "b.png")):
        upload(page, label, folder / name)
        shown(page, label)
    page.get_by_role("button", name="Interpolate", exact=True).click()
    page.get_by_text("Download the frame").wait_for()
    page.get_by_role("tab", name="A clip").click()
    page.get_by_text("Download the frame").wait_for(state="hidden")
    assert not page.locator(".inside:visible").count()
    page.get_by_role("tab", name="Two images").click()
    page.get_by_text("Download the frame").wait_for()
    upload_again = page.locator("#first").get_by_label("Remove")
    (upload_again if upload_again.count() else page.locator("#first button").last).first.click()
    page.get_by_text("Download the frame").wait_for(state="hidden")


@pytest.mark.parametrize(("name", "words"), [("words.mp4", "words.mp4 is not a video"), ("long.mp4", "takes 60")])
def test_a_bad_clip_is_said_at_once_and_not_kept(page, folder, name, words):
    page.get_by_role("tab", name="A clip").click()
    upload(page, "clip", folder / name)
    said(page, words)
    page.locator("#clip").get_by_text("Click to Upload").wait_for()
    page.get_by_role("button", name="Interpolate the clip").click()
    said(page, "a clip is needed")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(page, folder, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.get_by_role("button", name="Use an example").first.click()
    shown(page, "last")
    page.get_by_role("button", name="Interpolate", exact=True).click()
    page.get_by_text("Download the frame").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("tab", name="A clip").click()
    upload(page, "clip", folder / "clip.mp4")
    shown(page, "preview", "video")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
