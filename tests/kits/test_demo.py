"""The web demo: what is served and written, and in a real browser drop, tap, drag, keyboard, download, no network."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dofkit.api import open_pipeline
from dofkit.devices.browser import installation
from dofkit.kits.serving import LoopbackServer
from dofkit.kits.site import RUNTIMES, SiteRequest, fill_site, write_site
from dofkit.runtime_ref.cache import cache_folder
from dofkit.runtime_ref.imageio import embedded_disparity
from dofkit.runtime_ref.pipeline.focus import Focus
from dofkit.runtime_ref.pipeline.refinement import refined_disparity
from dofkit.runtime_ref.target import Precision, Target

from ..runtime_ref.imageio import test_embedded_depth as phones
from .previewed import with_previews, write_squaring

USERS = cache_folder()  # where the user's installation lies; tests have a cache of their own
PATIENCE = 60_000  # milliseconds, on a machine at work
TAP = (0.25, 0.6)
DROP = """([name, kind, text]) => {
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, { type: kind }));
  document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
}"""
RESULT = """() => {
  const { width, height } = document.getElementById("after");
  const { data } = document.getElementById("after").getContext("2d").getImageData(0, 0, width, height);
  let text = "";
  for (const value of data) text += String.fromCharCode(value);
  return [width, height, btoa(text)];
}"""

# Keeps width, height and mean of the pictures that a slider shows.
WATCH = """() => {
  const [after, status] = ["after", "status"].map((id) => document.getElementById(id));
  window.previews = [];
  new MutationObserver(() => {
    if (!status.textContent.startsWith("Preview")) return;
    const { data } = after.getContext("2d").getImageData(0, 0, after.width, after.height);
    const sum = data.reduce((total, value, k) => total + (k % 4 < 3 ? value : 0), 0);
    window.previews.push([after.width, after.height, sum / (3 * after.width * after.height)]);
  }).observe(status, { childList: true });
}"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "app.js").write_text("export {}")
    (tmp_path / "site" / "inner").mkdir()
    (tmp_path / "secret").write_text("of the machine")
    (tmp_path / "site" / "link").symlink_to(tmp_path / "secret")
    return tmp_path / "site"


@contextmanager
def served(folder: Path) -> Iterator[LoopbackServer]:
    with LoopbackServer(folder) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def test_the_server_gives_files_with_the_headers_that_threads_need_and_nothing_else(folder: Path) -> None:
    with served(folder) as server:
        with urlopen(server.address + "app.js") as answer:
            assert answer.headers["Content-Type"] == "text/javascript"
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        for path in ("../secret", "%2e%2e/secret", "link", "inner/", "none.js"):
            with pytest.raises(HTTPError, match="404"):
                urlopen(server.address + path)


def test_the_server_answers_this_machine_alone_and_under_its_own_name_only(folder: Path) -> None:
    with served(folder) as server:
        host, port = server.server_address[:2]
        assert host == "127.0.0.1"
        connection = HTTPConnection("127.0.0.1", int(port))
        connection.request("GET", "/app.js", headers={"Host": f"leads.here.example:{port}"})
        assert connection.getresponse().status == 403
        connection.close()


def _stand_in_packages(folder: Path) -> Path:
    """The runtimes' files, empty."""
    for name in (name for files in RUNTIMES.values() for name in files):
        path = folder / name
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        else:
            path.mkdir(parents=True)
            (path / "some.wasm").touch()
    return folder


@pytest.mark.parametrize("target", [Target.ONNX, Target.TFLITE])
def test_a_site_lists_all_that_a_device_keeps_and_names_where_things_lie(
    target: Target, bundle_path: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    packages = _stand_in_packages(tmp_path / "packages")
    fill_site(SiteRequest(bundle_path, packages, target, Precision.FP16), site)
    listed = json.loads((site / "files.json").read_text())
    there = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert set(listed) == {"./", *there} - {"sw.js", "files.json"}
    place = json.loads((site / "place.json").read_text())
    assert (site / place["runtime"]).is_dir()
    assert Image.open(site / place["example"]).size == (96, 104)
    manifest = json.loads((site / place["bundle"] / "manifest.json").read_text())
    assert {(model["target"], model["precision"]) for model in manifest["models"]} == {(target.value, "fp16")}
    assert all((site / place["bundle"] / model["path"]).is_file() for model in manifest["models"])


def test_browsers_see_that_a_site_has_changed(bundle_path: Path, tmp_path: Path) -> None:
    packages = _stand_in_packages(tmp_path / "packages")
    scripts = []
    for precision in (Precision.FP32, Precision.FP16, Precision.FP16):
        write_site(SiteRequest(bundle_path, packages, Target.ONNX, precision), tmp_path / "site")
        scripts.append((tmp_path / "site" / "sw.js").read_text())
    assert scripts[0] != scripts[1]
    assert scripts[1] == scripts[2]


def test_the_command_refuses_a_folder_of_something_else_and_says_what_npm_is_to_bring(
    cli, bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = cli("demo", str(bundle_path), "--out", str(tmp_path))
    assert (refused.exit_code, refused.stderr.strip().endswith("run: dofkit doctor --install browser")) == (2, True)
    packages = _stand_in_packages(tmp_path / "packages")
    monkeypatch.setattr(installation, "packages", lambda: packages)
    refused = cli("demo", str(bundle_path), "--out", str(packages))
    assert refused.exit_code == 2
    assert "exists and is no demo; give another --out" in refused.stderr
    assert cli("demo", str(bundle_path), "--out", str(tmp_path / "site")).exit_code == 0
    assert cli("demo", str(bundle_path), "--out", str(tmp_path / "site")).exit_code == 0  # an older demo is replaced


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOFKIT_CACHE", str(USERS))
        if (absent := installation.missing()) is not None:
            pytest.skip(f"NOT RUN: {absent}")
        playwright = pytest.importorskip("playwright.sync_api")
        with playwright.sync_playwright() as driver:
            yield driver.chromium.launch(executable_path=installation.chromium())


@contextmanager
def demo(
    browser: Any, bundle: Path, folder: Path, target: Target, offline: bool = False, **options: Any
) -> Iterator[Any]:
    """A page of the demo that is ready for a photo."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOFKIT_CACHE", str(USERS))
        fill_site(SiteRequest(bundle, installation.packages(), target, Precision.FP32), folder, offline)
    context = browser.new_context(**options)
    with served(folder) as server:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(server.address)
        wait(page, "empty")
        yield page
        context.close()


def wait(page: Any, state: str) -> None:
    page.wait_for_selector(f"body[data-state={state}], body[data-state=failed]")
    assert page.get_attribute("body", "data-state") == state, page.inner_text("#status")


def drop(page: Any, picture: bytes, name: str) -> None:
    kind = "image/jpeg" if name.endswith("jpg") else "image/png"
    page.evaluate(DROP, [name, kind, base64.b64encode(picture).decode()])


def shown(page: Any) -> NDArray[np.uint8]:
    width, height, text = page.evaluate(RESULT)
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)[..., :3]


def marked(page: Any) -> tuple[float, float]:
    """Where the page focuses, as fractions of width and height: near where it was tapped, to the screen's pixel."""
    point = [
        float(page.evaluate(f"document.getElementById('stage').style.getPropertyValue('--{axis}')")) for axis in "xy"
    ]
    return point[0], point[1]


def encoded(pixels: NDArray[np.uint8], kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def far(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    assert first.shape == second.shape
    return int(np.abs(first.astype(int) - second).max())


@pytest.mark.e2e
@pytest.mark.parametrize("target", [Target.ONNX, Target.TFLITE])
def test_what_is_dropped_tapped_and_dragged_becomes_what_dofkit_render_makes(
    target: Target, browser: Any, bundle_path: Path, tmp_path: Path
) -> None:
    from skimage.data import astronaut

    photo = np.ascontiguousarray(astronaut()[20:351:1, 40:441])  # 331 × 401: odd, one upsampling
    expected = open_pipeline(bundle_path, target=target, precision="fp32", threads=1)
    with demo(browser, bundle_path, tmp_path, target) as page:
        drop(page, encoded(photo, "PNG"), "photo.png")
        wait(page, "full")
        assert far(shown(page), expected.portrait(photo)) <= 2
        box = page.locator("#stage").bounding_box()
        page.mouse.click(box["x"] + TAP[0] * box["width"], box["y"] + TAP[1] * box["height"])
        wait(page, "changing")
        tapped = Focus(marked(page))
        handle = page.locator("#aperture").bounding_box()
        middle = handle["y"] + handle["height"] / 2
        page.mouse.move(handle["x"] + handle["width"] / 2, middle)
        page.mouse.down()
        page.mouse.move(handle["x"] + 0.8 * handle["width"], middle, steps=4)
        page.mouse.up()
        wait(page, "full")
        aperture = int(page.input_value("#aperture")) / 100
        assert 0.75 <= aperture <= 0.85
        assert far(shown(page), photo) > 8  # something is blurred
        assert far(shown(page), expected.portrait(photo, focus=tapped, aperture=aperture)) <= 2


@pytest.mark.e2e
def test_a_turned_photo_is_rendered_upright_by_keyboard_and_downloaded_with_what_it_says_of_itself(
    browser: Any, bundle_path: Path, tmp_path: Path, photo: NDArray[np.uint8]
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"  # turned to the right
    turned = encoded(photo, "JPEG", exif=exif, quality=95, subsampling=0)
    with demo(browser, bundle_path, tmp_path, Target.ONNX, accept_downloads=True) as page:
        drop(page, turned, "IMG_1.jpg")
        wait(page, "full")
        assert shown(page).shape[:2] == (photo.shape[1], photo.shape[0])
        page.focus("#focus")
        for _ in range(20):
            page.keyboard.press("ArrowLeft")
        assert "10 percent across" in page.get_attribute("#focus", "aria-label")
        page.keyboard.press("Enter")
        wait(page, "changing")
        wait(page, "full")
        focus = Focus(marked(page))
        assert focus.point == pytest.approx((0.1, 0.5))
        upright = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(turned))))
        assert far(shown(page), open_pipeline(bundle_path, target="onnx").portrait(upright, focus=focus)) <= 2
        page.focus("#view")
        page.keyboard.press("Space")
        assert page.get_attribute("#view", "aria-pressed") == "true"
        with page.expect_download() as download:
            page.click("#download")
        assert download.value.suggested_filename == "IMG_1-portrait.jpg"
        saved = Image.open(download.value.path())
        assert saved.size == (photo.shape[0], photo.shape[1])
        assert (saved.getexif()[0x0112], saved.getexif()[0x010F]) == (1, "Maker")
        drop(page, b"no picture", "photo.heic")
        page.wait_for_selector("body[data-state=failed]")
        assert "HEIC opens in Safari only" in page.inner_text("#status")


@pytest.mark.e2e
def test_a_dropped_photo_is_rendered_with_the_depth_that_its_file_holds(
    browser: Any, bundle_path: Path, tmp_path: Path, photo: NDArray[np.uint8]
) -> None:
    # Across the photo: a network would not find it there. The stored map is black where it is near.
    stored = encoded(np.tile(np.linspace(0, 255, 32).astype(np.uint8), (24, 1)), "PNG")
    packet = phones.description(GDepth_Format="RangeInverse", GDepth_Data=base64.b64encode(stored).decode())
    data = phones.with_segments(encoded(photo, "JPEG", quality=95, subsampling=0), phones.xmp_segment(packet))
    (tmp_path / "photo.jpg").write_bytes(data)
    disparity = embedded_disparity(tmp_path / "photo.jpg")
    assert disparity is not None
    (tmp_path / "site").mkdir()
    with demo(browser, bundle_path, tmp_path / "site", Target.ONNX) as page:
        drop(page, data, "photo.jpg")
        wait(page, "full")
        assert "with the photo's own depth" in page.inner_text("#status")
        pixels = np.array(Image.open(io.BytesIO(data)))
        pipeline = open_pipeline(bundle_path, target="onnx", precision="fp32", threads=1)
        refined = refined_disparity(disparity, pixels)  # as `dofkit render` does where the map is so coarse
        assert far(shown(page), pipeline.portrait(pixels, refined)) <= 2
        assert far(shown(page), pipeline.portrait(pixels, disparity)) > 8
        assert far(shown(page), pipeline.portrait(pixels)) > 8
        drop(page, encoded(photo, "PNG"), "photo.png")
        wait(page, "full")
        assert "own depth" not in page.inner_text("#status")


@pytest.mark.e2e
def test_a_slider_shows_the_preview_graphs_picture_until_the_full_one_is_there(
    browser: Any, bundle_path: Path, tmp_path: Path
) -> None:
    from skimage.data import astronaut

    photo = np.ascontiguousarray(astronaut()[20:351, 40:441])  # 331 × 401
    with demo(browser, bundle_path, tmp_path, Target.ONNX) as page:
        bundle = tmp_path / "bundle"
        with_previews(bundle, 240, 320)
        write_squaring(bundle)  # which darkens: no other rendering does
        page.reload()
        wait(page, "empty")
        page.evaluate(WATCH)
        drop(page, encoded(photo, "PNG"), "photo.png")
        wait(page, "full")
        previews = page.evaluate("window.previews")
        assert {(width, height) for width, height, _ in previews} == {(291, 240)}
        squared = (np.array(Image.fromarray(photo).resize((291, 240), Image.Resampling.BOX)) / 255.0) ** 2
        assert previews[0][2] / 255 == pytest.approx(squared.mean(), abs=0.01)
        assert shown(page).shape == photo.shape
        assert far(shown(page), open_pipeline(bundle_path, target="onnx").portrait(photo)) <= 2


@pytest.mark.e2e
def test_the_demo_works_without_a_network_once_it_was_opened(browser: Any, bundle_path: Path, tmp_path: Path) -> None:
    with demo(browser, bundle_path, tmp_path, Target.ONNX, offline=True) as page:
        page.wait_for_function("navigator.serviceWorker.controller !== null")
        address = page.url
        for file in tmp_path.rglob("*"):
            if file.is_file():
                file.unlink()  # the server has nothing more to give
        with pytest.raises(HTTPError, match="404"):
            urlopen(address + "app.js")
        page.reload()
        wait(page, "empty")
        assert page.evaluate("crossOriginIsolated")
        page.click("#example")
        wait(page, "full")
