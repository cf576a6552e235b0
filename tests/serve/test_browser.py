"""The page in a real browser: what a person does with mouse and keys."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import wsol
from wsol.runs.folder import Run

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next((path for path in map(Path, ("/usr/bin/chromium", "/usr/bin/chromium-browser")) if path.exists()), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(15_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert errors == []


def lines(found: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (found / "review.jsonl").read_text().splitlines()]


def shown(page: Any, number: int) -> None:
    page.wait_for_selector(f"#review-canvas[data-number='{number}']")


def heard(page: Any) -> None:
    """An answer is kept and the next photo is there, or the end: keys count again."""
    page.wait_for_selector("#review[aria-busy=false]")


def boxes(page: Any, canvas: str = "review-canvas") -> list[list[float]]:
    return json.loads(page.get_attribute(f"#{canvas}", "data-boxes"))


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one pixel of the photo (200 x 160) to another."""
    place = page.evaluate("""() => {
        const edges = document.getElementById("review-canvas").getBoundingClientRect();
        const scale = Math.min((edges.width - 20) / 200, (edges.height - 20) / 160);
        return [edges.x + (edges.width - 200 * scale) / 2, edges.y + (edges.height - 160 * scale) / 2, scale];
    }""")
    (x0, y0), (x1, y1) = ([place[i] + place[2] * point[i] for i in (0, 1)] for point in (start, end))
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move(x1, y1, steps=4)
    page.mouse.up()


def test_a_photo_is_dropped_and_the_threshold_moves_its_box(
    served: Callable, page: Any, run: Run, photos: Path
) -> None:
    with served(None) as address:
        page.goto(address)
        page.wait_for_selector("#drop")
        assert not page.is_visible("#tab-review")
        page.evaluate(
            """async (bytes) => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], "mine.jpg", {type: "image/jpeg"}));
                document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
            }""",
            list((photos / "0.jpg").read_bytes()),
        )
        page.wait_for_selector("#readout option >> nth=1", state="attached")
        for threshold in (0.2, 0.55, 0.9):
            (expected,) = wsol.locate(run, photos / "0.jpg", threshold=threshold)
            with page.expect_response(f"**/cut?*threshold={threshold}&*"):
                page.locator("#threshold").fill(str(threshold))
            wanted = json.dumps([[round(value, 2) for value in box] for box in expected.boxes.tolist()])
            page.wait_for_function(
                "wanted => document.getElementById('try-canvas').dataset.boxes === JSON.stringify(JSON.parse(wanted))",
                arg=wanted,
            )
        with page.expect_download() as download:
            page.click("[data-kind=json]")
        kept = json.loads(Path(download.value.path()).read_text())
        assert kept["threshold"] == 0.9 and kept["findings"][0]["boxes"] == json.loads(wanted)
        page.set_input_files("#file", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"})
        page.wait_for_selector("#trouble:not([hidden])")
        said = page.inner_text("#trouble")
        assert said == "notes.txt: is no image of a known format; replace or remove it"


def test_a_review_by_keys(served: Callable, page: Any, found: Path) -> None:
    with served(found) as address:
        page.goto(address)
        page.wait_for_selector("#review-canvas[data-number]")
        order: list[int] = []
        for key, flash in (("Enter", "✓ accepted"), ("n", "∅ no object"), ("s", "→ skipped"), ("a", "✓ accepted")):
            order.append(int(page.get_attribute("#review-canvas", "data-number")))
            page.keyboard.press(key)
            page.wait_for_function(
                "number => document.getElementById('review-canvas').dataset.number != number", arg=order[-1]
            )
            assert page.inner_text("#flash") == flash
        assert [line["answer"] for line in lines(found)] == ["accepted", "none", "skipped", "accepted"]
        assert page.inner_text("#done") == "3 of 8 checked, 1 skipped, 4 left"

        page.keyboard.press("u")
        shown(page, order[3])
        page.keyboard.press("ArrowLeft")
        shown(page, order[2])
        page.keyboard.press("ArrowLeft")
        shown(page, order[1])
        assert page.inner_text("#review-said") == "you said: ∅ no object" and boxes(page) == []
        page.keyboard.press("Escape")  # the network's boxes again
        proposed = boxes(page)
        assert proposed
        page.keyboard.press("c")
        page.keyboard.type("TUFTED")
        assert page.locator("#class-list li").all_inner_texts()[1:] != []
        page.keyboard.press("ArrowDown")
        name = page.inner_text("#class-list li[aria-selected=true]")
        assert name == page.locator("#class-list li").all_inner_texts()[1] and name.startswith("Tufted")
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        page.wait_for_function(
            "number => document.getElementById('review-canvas').dataset.number != number", arg=order[1]
        )
        assert lines(found)[-1]["boxes"] == [{"name": name, "box": box} for box in proposed]
        assert lines(found)[-1]["answer"] == "changed"
        assert page.inner_text("#done") == "3 of 8 checked, 1 skipped, 4 left"


def test_a_key_held_down_answers_once(served: Callable, page: Any, found: Path) -> None:
    with served(found) as address:
        page.goto(address)
        page.wait_for_selector("#review-canvas[data-number]")
        first = page.get_attribute("#review-canvas", "data-number")
        for _ in range(6):
            page.keyboard.down("Enter")
            page.wait_for_timeout(40)
        page.keyboard.up("Enter")
        page.wait_for_function("number => document.getElementById('review-canvas').dataset.number != number", arg=first)
        assert len(lines(found)) == 1


def test_boxes_are_drawn_moved_resized_and_removed(served: Callable, page: Any, found: Path) -> None:
    near = pytest.approx
    with served(found) as address:
        page.goto(address)
        page.wait_for_selector("#review-canvas[data-number]")
        drag(page, (60, 40), (120, 100))
        assert boxes(page) == [near([60, 40, 120, 100], abs=1)]  # in place of the network's
        drag(page, (90, 70), (100, 90))  # the new box is the chosen one: it moves
        assert boxes(page) == [near([70, 60, 130, 120], abs=1)]
        drag(page, (130, 120), (150, 130))
        assert boxes(page) == [near([70, 60, 150, 130], abs=1)]
        drag(page, (70, 90), (20, 90))
        assert boxes(page) == [near([20, 60, 150, 130], abs=1)]
        drag(page, (170, 10), (500, 40))  # ends at the border
        assert boxes(page) == [near([20, 60, 150, 130], abs=1), near([170, 10, 200, 40], abs=1)]
        page.keyboard.press("Control+ArrowLeft")
        page.keyboard.press("Shift+ArrowDown")
        assert boxes(page)[1] == near([168, 10, 198, 41.6], abs=1)
        page.keyboard.press("b")
        page.keyboard.press("Delete")
        assert boxes(page) == [near([168, 10, 198, 41.6], abs=1)]
        assert page.inner_text("#accept-word") == "Keep my boxes"
        first, kept = page.get_attribute("#review-canvas", "data-number"), boxes(page)
        page.keyboard.press("Enter")
        page.wait_for_function("number => document.getElementById('review-canvas').dataset.number != number", arg=first)
        (line,) = lines(found)
        assert line["answer"] == "changed" and line["boxes"][0]["box"] == near(kept[0], abs=0.006)
        page.keyboard.press("r")
        assert boxes(page) == [] and page.inner_text("#accept-word") == "No object"
        drag(page, (10, 10), (50, 50))
        drag(page, (100, 100), (150, 150))
        assert len(boxes(page)) == 2


def test_a_review_goes_on_after_the_server_or_the_browser_died(
    served: Callable, browser: Any, page: Any, found: Path
) -> None:
    with served(found) as address:
        page.goto(address)
        page.wait_for_selector("#review-canvas[data-number]")
        page.keyboard.press("Enter")
        heard(page)
        assert page.inner_text("#done") == "1 of 8 checked, 7 left"
        second = page.get_attribute("#review-canvas", "data-number")
    page.keyboard.press("n")  # nobody hears it
    page.wait_for_selector("#trouble:not([hidden])")
    assert page.inner_text("#trouble").startswith("The server does not answer.")
    with served(found, int(address.rpartition(":")[2])):
        heard(page)
        assert page.inner_text("#done") == "2 of 8 checked, 6 left"
        assert not page.is_visible("#trouble")
        assert [line["answer"] for line in lines(found)] == ["accepted", "none"]
        again = browser.new_page()
        again.goto(address)
        again.wait_for_selector("#review-canvas[data-number]")
        assert again.inner_text("#done") == "2 of 8 checked, 6 left"
        assert again.get_attribute("#review-canvas", "data-number") == page.get_attribute(
            "#review-canvas", "data-number"
        )
        again.keyboard.press("u")
        shown(again, int(second))
        again.close()


def test_at_the_end_files_are_written_and_skipped_photos_come_again(served: Callable, page: Any, found: Path) -> None:
    with served(found) as address:
        page.goto(address)
        page.wait_for_selector("#review-canvas[data-number]")
        for left in range(7, -1, -1):
            page.keyboard.press("s" if left > 5 else "Enter")
            heard(page)
            assert page.inner_text("#done").endswith(f", {left} left")
        assert page.is_visible("#finished")
        assert page.inner_text("#summary") == "6 accepted, 0 changed, 0 without an object, 2 skipped"
        page.check("#formats [value=yolo]")
        page.click("#write")
        page.wait_for_function("() => document.getElementById('written').textContent.length > 5")
        said = page.inner_text("#written")
        assert said == f"{found / 'reviewed'}: 8 photos written as coco, yolo, 6 of them decided by a person"
        page.click("#again")
        for _ in range(2):
            heard(page)
            page.keyboard.press("n")
        heard(page)
        assert page.is_visible("#finished")
        assert page.inner_text("#summary") == "6 accepted, 0 changed, 2 without an object, 0 skipped"


def test_every_control_has_a_name_and_nothing_is_wider_than_a_phone(
    served: Callable, browser: Any, found: Path
) -> None:
    with served(found) as address:
        page = browser.new_page(viewport={"width": 400, "height": 800}, color_scheme="dark")
        page.goto(address)
        page.wait_for_selector("#review-canvas[data-number]")
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        unnamed = page.evaluate("""() => [...document.querySelectorAll("button, input, select, canvas")]
            .filter((part) => part.offsetParent && !(part.textContent.trim() || part.ariaLabel || part.labels?.length))
            .map((part) => part.outerHTML)""")
        assert unnamed == []
        page.close()
