"""The pages of `make docs`, opened as files in a real browser: search works, and nothing is fetched from elsewhere."""

import shutil
import subprocess
import sys

import pytest
from helpers.runs import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.extra, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for package in ("material", "mkdocstrings_handlers.python"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    return folder


@pytest.mark.parametrize("width", [390, 1280])
def test_search_finds_a_function_and_leads_to_it(site, width):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page(viewport={"width": width, "height": 800})
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "index.html").as_uri())
        if width < 960:
            page.locator("label.md-header__button[for=__search]").click()
        page.locator("input.md-search__input").click()
        page.locator("input.md-search__input").press_sequentially("backward warp")
        found = page.locator("a.md-search-result__link", has_text="backward_warp")
        found.first.click()
        page.wait_for_url("**/api/inside.html*")
        assert page.locator("#models\\.layers\\.backward_warp").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}
        browser.close()
