"""The web page in a real browser: Debian's chromium, driven by Playwright. Nothing may leave the machine."""

import contextlib
import importlib.util
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from clips import make_clip, packets, square
from PIL import Image
from runs import launch

from models import default_checkpoint, waveletvfi
from utils import read_image, tensor_to_image
from video import VideoReader

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = [name for name in ("gradio", "playwright") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING) or CHROMIUM is None, reason=f"needs {', '.join(MISSING) or 'chromium'}"),
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
    process = launch("-c", WATCHED, "--port", "0", "--max_frames", "8", "--max_megapixels", "0.2", "--max_mib", "1")
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


@pytest.fixture
def folder(tmp_path) -> Path:
    for k, name in enumerate(["a", "b"]):
        Image.fromarray(square(2 * k)).save(tmp_path / f"{name}.png")
    Image.fromarray(square(0, 48, 80)).save(tmp_path / "wide.png")
    Image.fromarray(square(0, 500, 500)).save(tmp_path / "large.png")
    (tmp_path / "words.png").write_text("just some words\n" * 20)
    (tmp_path / "words.mp4").write_text("just some words\n" * 20)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8)).save(tmp_path / "heavy.png")
    make_clip(tmp_path / "clip.mp4", [square(k) for k in range(4)], pix_fmt="yuv420p", sound=[0.1])
    make_clip(tmp_path / "long.mp4", [square(k) for k in range(9)], pix_fmt="yuv420p")
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
    page.get_by_label("Budget").check()
    page.get_by_label("number input for Budget").fill("0.25")
    page.get_by_role("button", name="Interpolate", exact=True).click()
    frame = read_image(download(page, "Download the frame", folder / "middle.png"))
    model = waveletvfi(default_checkpoint())
    expected = model.interpolate(read_image(folder / "a.png"), read_image(folder / "b.png"), budget=0.25)
    difference = tensor_to_image(frame).astype(int) - tensor_to_image(expected)
    assert np.abs(difference).max() <= 1
    assert float(page.locator(".figures b").first.inner_text().rstrip("%")) <= 25
    assert page.locator("#inside img").count() == 8
    page.get_by_label("last frame").check()
    page.get_by_text("Left: last frame").wait_for()


def test_the_example_can_be_interpolated(page):
    page.get_by_role("button", name="Use an example").click()
    shown(page, "last")
    page.get_by_role("button", name="Interpolate", exact=True).click()
    page.get_by_text("Download the frame").wait_for()
    page.get_by_text("640x272 pixels").wait_for()


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
    shown(page, "clip", "video")
    page.get_by_label("4", exact=True).check()
    page.get_by_role("button", name="Interpolate the clip").click()
    smooth = download(page, "Download the clip", folder / "smooth.mp4")
    assert len(list(VideoReader(smooth).frames())) == 16
    assert packets(smooth) == packets(folder / "clip.mp4")
    assert page.locator("#inside img").count() == 8


@pytest.mark.parametrize(("name", "words"), [("words.mp4", "words.mp4 is not a video"), ("long.mp4", "takes 8")])
def test_a_bad_clip_is_said(page, folder, name, words):
    page.get_by_role("tab", name="A clip").click()
    upload(page, "clip", folder / name)
    shown(page, "clip", "video")
    page.get_by_role("button", name="Interpolate the clip").click()
    said(page, words)
