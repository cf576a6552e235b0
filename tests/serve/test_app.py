"""The page's addresses: what they answer, and what they refuse."""

import io
import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

import wsol
from wsol.boxes.rule import normalise
from wsol.runs.folder import Run
from wsol.serve import tried
from wsol.serve.app import Pages
from wsol.serve.queue import Queue
from wsol.serve.tried import Tried

ORIGIN = "http://127.0.0.1"


@pytest.fixture(scope="module")
def trying(localizer: wsol.Localizer) -> Tried:
    return Tried(localizer)


@pytest.fixture
def client(trying: Tried, queue: Queue) -> Iterator[TestClient]:
    app = Pages(trying, queue).app()
    with TestClient(app, base_url=ORIGIN, headers={"origin": ORIGIN}, raise_server_exceptions=False) as client:
        yield client


def dropped(client: TestClient, content: bytes, name: str = "a.jpg") -> dict[str, Any]:
    return client.post("/api/dropped", params={"name": name}, content=content).json()


@pytest.mark.parametrize("threshold", [0.0, 0.23, 0.5, 1.0, "auto"])
@pytest.mark.parametrize("keep", ["largest", "all", "union"])
def test_a_dropped_photo_is_cut_as_locate_cuts_it(
    client: TestClient, run: Run, photos: Path, threshold: Any, keep: Any
) -> None:
    number = dropped(client, (photos / "0.jpg").read_bytes(), "0.jpg")["number"]
    (expected,) = wsol.locate(run, photos / "0.jpg", threshold=threshold, keep=keep, classes=3)
    labels = ",".join(str(finding.label) for finding in expected.findings)
    asked = {"threshold": threshold, "keep": keep, "labels": labels}
    assert client.get(f"/api/dropped/{number}/cut", params=asked).json() == expected.to_dict()
    assert client.get(f"/api/dropped/{number}/download/json", params=asked).json() == expected.to_dict()


@pytest.mark.parametrize("readout", ["gradcam", "mean"])
def test_a_read_out_is_asked_as_locate_asks_it(client: TestClient, run: Run, photos: Path, readout: str) -> None:
    number = dropped(client, (photos / "0.jpg").read_bytes(), "0.jpg")["number"]
    (expected,) = wsol.locate(run, photos / "0.jpg", readout=readout)
    asked = {"labels": expected.label, "readout": readout}
    assert client.get(f"/api/dropped/{number}/cut", params=asked).json() == expected.to_dict()


def test_the_read_outs_offered_are_those_that_the_run_allows(client: TestClient, localizer: wsol.Localizer) -> None:
    offered = client.get("/api/readouts").json()
    assert next(iter(offered)) == "as opened" and "own" not in offered
    assert {"gradcam", "saliency", "scorecam"} <= set(offered)
    for name in set(offered) - {"as opened"}:
        wsol.load(localizer, readout=name)


class Bare(torch.nn.Module):
    """A classifier without class maps of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4 * 30 * 30, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(images).relu().flatten(1))


def test_an_exported_network_answers_the_page(run: Run, photos: Path, tmp_path: Path) -> None:
    for name in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason="the extra onnx is not installed")
    file = wsol.export_network(run, tmp_path / "network.onnx")
    with TestClient(Pages(Tried(wsol.load(file)), None).app(), base_url=ORIGIN, headers={"origin": ORIGIN}) as client:
        assert list(client.get("/api/readouts").json()) == ["as opened"]
        number = dropped(client, (photos / "0.jpg").read_bytes(), "0.jpg")["number"]
        (expected,) = wsol.locate(run, photos / "0.jpg")
        (answer,) = client.get(f"/api/dropped/{number}/cut", params={"labels": expected.label}).json()["findings"]
    assert answer["name"] == expected.name
    assert np.abs(np.array(answer["boxes"]) - expected.boxes).max() <= 1


def test_read_outs_that_the_network_cannot_be_asked_by_are_not_offered() -> None:
    offered = Tried(wsol.adopt(Bare(), classes=["a", "b"], image_size=32)).allowed()
    assert offered["as opened"] == "features weighted by their mean gradients"
    assert "saliency" in offered and not {"own", "ccam", "gradcam"} & set(offered)


def test_the_heatmap_is_what_boxes_are_cut_from(client: TestClient, run: Run, photos: Path) -> None:
    number = dropped(client, (photos / "0.jpg").read_bytes())["number"]
    (expected,) = wsol.locate(run, photos / "0.jpg")
    got = Image.open(io.BytesIO(client.get(f"/api/dropped/{number}/heatmap?label={expected.label}").content))
    assert np.array_equal(np.asarray(got), (normalise(expected.heatmap, (224, 224)) * 255).astype(np.uint8))


def test_downloads(client: TestClient, run: Run, photos: Path) -> None:
    number = dropped(client, (photos / "0.jpg").read_bytes(), "é 0.jpg")["number"]
    (expected,) = wsol.locate(run, photos / "0.jpg", threshold=0.3)
    asked = {"threshold": 0.3, "labels": expected.label}
    coco = client.get(f"/api/dropped/{number}/download/coco", params=asked)
    assert coco.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%A9%200.coco.json"
    x0, y0, x1, y1 = expected.boxes[0]
    (row,) = coco.json()["annotations"]
    assert row["bbox"] == pytest.approx([x0, y0, x1 - x0, y1 - y0], abs=0.01)
    assert coco.json()["images"][0]["file_name"] == "é 0.jpg"
    picture = client.get(f"/api/dropped/{number}/download/picture", params=asked)
    assert Image.open(io.BytesIO(picture.content)).size == (200, 160)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_photo_that_exif_turns_is_upright_like_its_boxes(client: TestClient) -> None:
    exif = Image.Exif()
    exif[274] = 6
    content = encoded(Image.new("RGB", (60, 40), "red"), "JPEG", exif=exif)
    about = dropped(client, content)
    assert about["size"] == [40, 60]
    assert Image.open(io.BytesIO(client.get(f"/api/dropped/{about['number']}/view").content)).size == (40, 60)


def test_of_an_animation_the_first_image_is_taken_and_that_is_said(client: TestClient) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue", "green")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert dropped(client, content, "a.gif")["note"] == "holds 3 images, the first one is taken"


BAD = {
    "empty": (b"", r"^a\.jpg: is an empty file"),
    "text": (b"hello" * 100, r"^a\.jpg: is no image of a known format"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", r"^a\.jpg: is no image of a known format"),
    "truncated": (encoded(Image.effect_noise((90, 90), 50), "JPEG")[:900], r"^a\.jpg: cannot be read"),
    "huge": (encoded(Image.new("1", (12000, 11000)), "PNG"), r"^a\.jpg: has 12000 x 11000 pixels; scale it"),
    "bomb": (encoded(Image.new("1", (20000, 10000)), "PNG"), r"^a\.jpg: more pixels than Pillow accepts"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_photo_is_said_in_one_line_that_names_it(client: TestClient, trying: Tried, kind: str) -> None:
    content, match = BAD[kind]
    held = set(Path(trying.folder.name).iterdir())
    error = dropped(client, content)["error"]
    assert re.search(match, error) and "\n" not in error and "/tmp" not in error
    assert set(Path(trying.folder.name).iterdir()) == held


def test_a_file_that_is_too_large_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsol.serve.app.BYTES", 1_000_000)
    assert dropped(client, b"x" * 1_000_001)["error"] == "this file has more than 1 MB; scale it down first"


def test_only_the_last_dropped_photos_are_held(localizer: wsol.Localizer, photos: Path) -> None:
    trying, content = Tried(localizer), (photos / "0.jpg").read_bytes()
    numbers = [trying.add(content, "a.jpg") for _ in range(tried.HELD + 2)]
    assert list(trying.photos) == numbers[2:] and len(list(Path(trying.folder.name).iterdir())) == tried.HELD
    with pytest.raises(wsol.WsolError, match="not held any more; drop it again"):
        trying.look(numbers[0])


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\photos\\a.jpg", "a\n\x00b.jpg", "", "/"])
def test_no_name_leads_out_of_the_folder(client: TestClient, trying: Tried, photos: Path, name: str) -> None:
    about = dropped(client, (photos / "0.jpg").read_bytes(), name)
    assert about["name"] in {"passwd", "a.jpg", "ab.jpg", "photo"}
    assert trying.photo(about["number"]).path.parent == Path(trying.folder.name)


# --- review


def test_answers_go_to_the_journal_and_bring_the_next_photos(client: TestClient, queue: Queue, found: Path) -> None:
    start = client.get("/api/review").json()
    number, *others = start["next"]
    about = client.get(f"/api/review/{number}").json()
    said = {"photo": about["photo"], "said": "boxes", "boxes": about["proposed"]}
    kept = client.post(f"/api/review/{number}", json=said).json()
    assert kept["kind"] == "accepted" and kept["next"][:3] == others
    assert kept["progress"] == {"photos": 8, "left": 7, "accepted": 1, "changed": 0, "none": 0, "skipped": 0}
    (line,) = (found / "review.jsonl").read_text().splitlines()
    assert json.loads(line)["photo"] == about["photo"]
    assert client.get(f"/api/review/{number}").json()["answer"]["kind"] == "accepted"


def test_photos_of_the_queue_are_shown_upright_at_their_size(client: TestClient, queue: Queue) -> None:
    assert Image.open(io.BytesIO(client.get("/api/review/0/view").content)).size == (200, 160)
    grey = np.asarray(Image.open(io.BytesIO(client.get("/api/review/0/heatmap").content)))
    assert np.array_equal(grey, (normalise(queue.result(0).heatmap, (224, 224)) * 255).astype(np.uint8))


def test_two_browsers_at_once_the_last_answer_wins_and_no_line_is_broken(
    client: TestClient, queue: Queue, found: Path
) -> None:
    def answer(place: int) -> int:
        said = {"photo": queue.results[place % 8].path, "said": ("none", "skipped")[place // 8 % 2]}
        return client.post(f"/api/review/{place % 8}", json=said).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(answer, range(64))) == {200}
    lines = [json.loads(line) for line in (found / "review.jsonl").read_text().splitlines()]
    assert len(lines) == 64
    last = {line["photo"]: line["answer"] for line in lines}
    assert {photo: answer.kind for photo, answer in queue.answers.items()} == last


def test_the_threshold_that_fits_the_boxes_is_chosen_and_kept(
    localizer: wsol.Localizer, run: Run, found: Path, tmp_path: Path
) -> None:
    """Boxes drawn where the heatmaps are at 0.7: that threshold is found again."""
    folder = Path(shutil.copytree(run.folder, tmp_path / "run"))
    queue = Queue.open(found, run.classes)
    for number in range(8):
        boxes = [{"name": queue.results[number].name, "box": queue.result(number).at(0.7).boxes[0].tolist()}]
        queue.answer(number, queue.results[number].path, "boxes", boxes)
    pages = Pages(Tried(wsol.load(folder)), queue)
    with TestClient(pages.app(), base_url=ORIGIN, headers={"origin": ORIGIN}) as client:
        choice, again = (client.post("/api/review/threshold", json={}).json() for _ in range(2))
    assert choice["old"] == "auto" and (choice["cases"], choice["drawn"]) == (8, 8)
    assert choice["max_box_acc"] == choice["gt_known_after"] == 100.0 > choice["gt_known_before"]
    assert choice["said"] == f"kept in {folder}: wsol locate cuts there from now on"
    assert wsol.load(folder).threshold == choice["new"] == again["old"] == again["new"]
    assert wsol.load(folder).threshold_source == "review"


def test_boxes_that_were_all_accepted_leave_the_threshold_as_it_is(queue: Queue, run: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run.folder, tmp_path / "run"))
    for number in range(8):
        boxes = [{"name": queue.results[number].name, "box": queue.result(number).at("auto").boxes[0].tolist()}]
        queue.answer(number, queue.results[number].path, "boxes", boxes)
    choice = Pages(Tried(wsol.load(folder)), queue)._choose()
    assert choice["gt_known_before"] == 100.0 and not choice["kept"]
    assert choice["said"].startswith("not kept, as the old one is no worse on these boxes; to use it: wsol locate")
    assert wsol.load(folder).threshold == "auto"


def test_a_threshold_of_other_heatmaps_is_not_kept(run: Run, found: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run.folder, tmp_path / "run"))
    for path in (found / "heatmaps").glob("*.npy"):
        np.save(path, np.load(path)[:, ::-1])
    queue = Queue.open(found, run.classes)
    for number in range(8):
        boxes = [{"name": queue.results[number].name, "box": queue.result(number).at(0.7).boxes[0].tolist()}]
        queue.answer(number, queue.results[number].path, "boxes", boxes)
    for usual, said in ((True, "holds heatmaps of another read-out"), (False, "was opened with another read-out")):
        pages = Pages(Tried(wsol.load(folder)), queue, usual)
        assert said in pages._choose()["said"]
    assert not (folder / "threshold.json").exists()


def test_no_threshold_without_boxes(client: TestClient) -> None:
    said = client.post("/api/review/threshold", json={}).json()
    assert said["error"] == "no checked photo has a box yet; check some photos, then choose the threshold"


def test_files_are_written_and_a_wrong_format_is_said(client: TestClient, queue: Queue, found: Path) -> None:
    queue.answer(0, queue.results[0].path, "none")
    said = client.post("/api/review/write", json={"formats": "coco", "only": True}).json()["said"]
    assert said == f"{found / 'reviewed'}: 1 photos written as coco, 1 of them decided by a person"
    assert "no format 'cocoo'" in client.post("/api/review/write", json={"formats": "cocoo"}).json()["error"]


# --- safety

ASKED = ["/", "/api/setup", "/api/review/0/view", "/page/page.js"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "192.168.0.7", ""])
@pytest.mark.parametrize("path", ASKED)
def test_a_host_of_another_name_gets_nothing(client: TestClient, host: str, path: str) -> None:
    answer = client.get(path, headers={"host": host})
    assert answer.status_code == 400 and len(answer.content) < 40


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9", "https://127.0.0.1", None])
@pytest.mark.parametrize("path", ["/api/dropped", "/api/review/0", "/api/review/write", "/api/review/threshold"])
def test_only_the_page_itself_changes_anything(queue: Queue, trying: Tried, origin: str | None, path: str) -> None:
    headers = {} if origin is None else {"origin": origin}
    with TestClient(Pages(trying, queue).app(), base_url=ORIGIN, headers=headers) as client:
        answer = client.post(path, content=b"{}")
    assert (answer.status_code, answer.json()) == (403, {"error": "refused: only this page may ask"})
    assert not queue.answers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_may_link_to_the_page_but_load_nothing(client: TestClient, site: str) -> None:
    codes = [client.get(path, headers={"sec-fetch-site": site}).status_code for path in ASKED]
    assert codes == [200, 403, 403, 403]
    headers = client.get("/").headers
    assert "access-control-allow-origin" not in headers
    assert headers["cross-origin-resource-policy"] == "same-origin" and headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page//etc/passwd",
        "/api/review/../../x",
        "/api/review/-1",
        "/api/review/a",
    ]
    + ["/api/dropped/0.jpg/view", "/page/..%2fapp.py", "/page/"],
)
def test_no_address_is_a_path(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_numbers_that_no_photo_has_are_said(client: TestClient) -> None:
    assert client.get("/api/review/8").json() == {"error": "there is no photo 8; load the page again"}
    assert client.get("/api/dropped/99999/view").json()["error"].startswith("this photo is not held any more")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"said": "maybe"}', b'{"said": "boxes", "boxes": 3}'])
def test_answers_that_mean_nothing_are_refused_in_one_line(client: TestClient, queue: Queue, content: bytes) -> None:
    answer = client.post("/api/review/0", content=content)
    assert answer.status_code == 400 and "\n" not in answer.json()["error"] and not queue.answers


@pytest.mark.parametrize("asked", ["threshold=2", "threshold=x", "threshold=nan", "keep=most", "labels=a", "labels=99"])
def test_settings_that_cannot_be_are_refused_in_one_line(client: TestClient, photos: Path, asked: str) -> None:
    number = dropped(client, (photos / "0.jpg").read_bytes())["number"]
    answer = client.get(f"/api/dropped/{number}/cut?{asked}")
    assert answer.status_code == 400 and "\n" not in answer.json()["error"]
