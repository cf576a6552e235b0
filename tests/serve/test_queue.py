"""The review queue: the order of doubt, answers, and what is written."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import wsol
from wsol.data import open_data
from wsol.errors import WsolError
from wsol.export import read_heatmaps
from wsol.locating.result import Finding, Result
from wsol.runs.folder import Run
from wsol.serve.queue import Queue, doubt

HEATMAP = np.eye(4, dtype=np.float32)


def made(score: float, chances: list[float], unsure: bool = False) -> Result:
    boxes = np.array([[0.0, 0.0, 5.0, 5.0]] * len(chances)).reshape(-1, 4)
    finding = Finding(0, "a", score, boxes, np.array(chances), HEATMAP, background=not chances)
    return Result("a.jpg", (9, 9), 0.5, (finding,), unsure=unsure)


def said(number: int, queue: Queue, boxes: list | None = None) -> list[dict]:
    boxes = boxes if boxes is not None else [[drawn.name, drawn.box] for drawn in queue.proposed(number)]
    return [{"name": name, "box": list(box)} for name, box in boxes]


def test_the_least_sure_come_first() -> None:
    photos = {
        "unsure": made(0.9, [0.9], unsure=True),
        "whole photo": made(0.99, [0.0]),
        "one of two boxes is doubtful": made(0.9, [0.9, 0.1]),
        "low score": made(0.2, [0.9]),
        "low confidence": made(0.9, [0.3]),
        "background": made(0.7, []),
        "sure": made(0.9, [0.9]),
    }
    assert sorted(reversed(photos), key=lambda name: doubt(photos[name])) == list(photos)


def test_photos_come_in_the_order_of_doubt_and_answered_ones_no_more(queue: Queue) -> None:
    doubts = [doubt(queue.results[number]) for number in queue.order]
    assert doubts == sorted(doubts) and sorted(queue.order) == list(range(8))
    order = queue.order
    assert queue.after() == order[:4]
    queue.answer(order[1], queue.results[order[1]].path, "none")
    assert queue.after(order[0]) == order[2:6]
    assert queue.after(order[7]) == [order[0], *order[2:5]]


def test_skipped_photos_come_again_when_all_others_are_answered(queue: Queue) -> None:
    for place, number in enumerate(queue.order):
        queue.answer(number, queue.results[number].path, "skipped" if place in (2, 5) else "none")
    first, second = queue.order[2], queue.order[5]
    assert queue.after() == [first, second] and queue.after(first) == [second]
    assert queue.progress() == {"photos": 8, "left": 0, "accepted": 0, "changed": 0, "none": 6, "skipped": 2}


def test_an_answer_says_what_was_done(queue: Queue) -> None:
    path, proposed = queue.results[0].path, queue.proposed(0)
    assert queue.answer(0, path, "boxes", said(0, queue)).kind == "accepted"
    moved = queue.answer(0, path, "boxes", said(0, queue, [["Tufted cap", (1, 2, 30, 40.123)]]))
    assert (moved.kind, moved.boxes[0].box) == ("changed", (1.0, 2.0, 30.0, 40.12))
    assert queue.answer(0, path, "boxes", said(0, queue, [[queue.classes[-1], proposed[0].box]])).kind == "changed"
    assert queue.answer(0, path, "boxes", []).kind == "none"
    assert queue.answer(0, path, "skipped").kind == "skipped"


@pytest.mark.parametrize(
    ("name", "box", "match"),
    [
        ("Tufted cap", [0, 0, 201, 50], "reaches out of the photo"),
        ("Tufted cap", [-1, 0, 20, 50], "reaches out of the photo"),
        ("Tufted cap", [30, 0, 20, 50], "a box is not x0 y0 x1 y1"),
        ("Tufted cap", [0, 0, float("nan"), 50], "a box is not x0 y0 x1 y1"),
        ("Tufted cap", [0, 0, 50], "a box is not x0 y0 x1 y1"),
        ("Tufted cap", None, "a box is not x0 y0 x1 y1"),
        ("cat", [0, 0, 20, 50], "knows no class 'cat'"),
    ],
)
def test_boxes_that_cannot_be_are_refused_and_not_kept(queue: Queue, name: str, box: object, match: str) -> None:
    with pytest.raises(WsolError, match=match):
        queue.answer(0, queue.results[0].path, "boxes", [{"name": name, "box": box}])
    assert not queue.journal.path.exists()


def test_an_answer_for_another_photo_is_refused(queue: Queue) -> None:
    with pytest.raises(WsolError, match=r"b/1\.jpg: is not photo 0 of .*; load the page again"):
        queue.answer(0, "b/1.jpg", "none")


def test_answers_outlive_the_queue_also_where_the_photos_are_located_again(queue: Queue, run: Run, found: Path) -> None:
    path = queue.results[3].path
    queue.answer(3, path, "boxes", said(3, queue, [["Tufted cap", (1, 2, 30, 40)]]))
    queue.answer(0, queue.results[0].path, "none")
    again = Queue.open(found, run.classes)
    assert again.answers == queue.answers and again.history() == [3, 0]
    (result,) = [result for result in again.reviewed(only=True) if result.path == path]
    assert result.boxes.tolist() == [[1, 2, 30, 40]]


def test_what_a_person_decided_replaces_what_the_network_said(queue: Queue) -> None:
    network = [queue.result(number) for number in range(8)]
    queue.answer(0, network[0].path, "boxes", said(0, queue))
    queue.answer(1, network[1].path, "none")
    drawn = [["Tufted cap", (1, 2, 30, 40)], [network[2].name, (5, 5, 50, 60)], ["Tufted cap", (9, 9, 20, 20)]]
    queue.answer(2, network[2].path, "boxes", said(2, queue, drawn))
    queue.answer(3, network[3].path, "skipped")
    accepted, empty, changed, *others = queue.reviewed()
    assert others == network[3:]
    assert (accepted.name, accepted.findings[0].decided, accepted.score) == (network[0].name, "person", 1.0)
    np.testing.assert_allclose(accepted.boxes, network[0].boxes, atol=0.005)
    assert (len(empty.boxes), empty.findings[0].decided) == (0, "person")
    assert [(finding.name, finding.boxes.tolist()) for finding in changed.findings] == [
        ("Tufted cap", [[1, 2, 30, 40], [9, 9, 20, 20]]),
        (network[2].name, [[5, 5, 50, 60]]),
    ]
    assert [result.path for result in queue.reviewed(only=True)] == [result.path for result in network[:3]]


def test_an_unsure_photo_is_sure_once_a_person_decided(queue: Queue) -> None:
    result = replace(queue.result(0), unsure=True)
    assert not queue.decided(result, queue.answer(0, result.path, "boxes", said(0, queue))).unsure


def test_checked_photos_are_written_with_who_decided_and_again_over_them(queue: Queue, found: Path) -> None:
    queue.answer(0, queue.results[0].path, "boxes", said(0, queue, [["Tufted cap", (1, 2, 30, 40)]]))
    queue.answer(1, queue.results[1].path, "none")
    formats = "coco,yolo,voc,labelstudio,csv"
    line = f"{found / 'reviewed'}: 8 photos written as coco, yolo, voc, labelstudio, csv, 2 of them decided by a person"
    assert queue.write(formats) == line
    assert queue.write(formats) == line
    coco = json.loads((found / "reviewed" / "coco.json").read_text())
    of_first = [row for row in coco["annotations"] if row["image_id"] == 1]
    assert [(row["bbox"], row["decided"], row["score"]) for row in of_first] == [([1, 2, 29, 38], "person", 1.0)]
    assert not [row for row in coco["annotations"] if row["image_id"] == 2]
    assert {row["decided"] for row in coco["annotations"] if row["image_id"] > 2} == {""}
    assert len(list((found / "reviewed" / "yolo" / "images").rglob("*.jpg"))) == 8
    assert (found / "results.jsonl").is_file()  # what the network said stays beside it


def test_a_run_is_measured_by_what_a_person_decided_alone(queue: Queue, run: Run, found: Path) -> None:
    first = queue.results[0]
    queue.answer(0, first.path, "boxes", said(0, queue, [["Tufted cap", (1, 2, 30, 40)]]))
    queue.answer(1, queue.results[1].path, "none")
    queue.write("coco")
    with pytest.warns(UserWarning, match="7 of 8 photos have no annotation that counts"):
        checked = open_data(found / "reviewed" / "coco.json", None)
    assert [(sample.path, checked.classes[sample.label]) for sample in checked.samples] == [(first.photo, "Tufted cap")]
    assert checked.truth(0).boxes.tolist() == [[1, 2, 30, 40]]
    assert wsol.evaluate(run, checked, threshold=0.5)["images"] == 1


def test_photos_that_moved_are_found_by_their_folder(run: Run, found: Path, photos: Path, tmp_path: Path) -> None:
    lines = (found / "heatmaps.jsonl").read_text().replace(str(photos), str(tmp_path / "gone"))
    (found / "heatmaps.jsonl").write_text(lines)
    with pytest.raises(WsolError, match=r"8 of 8 photos are not where they were located, .*: --photos FOLDER"):
        Queue.open(found, run.classes)
    moved = Path(shutil.copytree(photos, tmp_path / "moved"))
    queue = Queue.open(found, run.classes, photos=moved)
    assert [result.photo for result in queue.results] == [moved / result.path for result in queue.results]


def test_stored_heatmaps_know_their_photos_while_these_are_there(located: Path, photos: Path, found: Path) -> None:
    assert [result.photo for result in read_heatmaps(located)[1]][:2] == [photos / "0.jpg", photos / "2.jpg"]
    text = (found / "heatmaps.jsonl").read_text().replace(str(photos), "/gone")
    (found / "heatmaps.jsonl").write_text(text)
    assert [result.photo for result in read_heatmaps(found)[1]] == [None] * 8


def test_a_folder_without_heatmaps_says_the_command_that_makes_them(tmp_path: Path) -> None:
    make = f"wsol locate RUN PHOTOS --output {tmp_path} --format json,heatmap"
    with pytest.raises(WsolError, match=make):
        Queue.open(tmp_path, ("a",))


def test_photos_located_by_a_run_of_other_classes_are_refused(found: Path) -> None:
    with pytest.raises(WsolError, match="knows other classes; give that run, or locate again"):
        Queue.open(found, ("a", "b"))


def test_of_photos_with_several_classes_all_likely_ones_are_shown(queue: Queue) -> None:
    first, second = queue.results[0].findings
    queue.results[0] = replace(queue.results[0], findings=(replace(first, score=0.9), replace(second, score=0.6)))
    one, several = queue.proposed(0), replace(queue, several=True).proposed(0)
    assert {drawn.name for drawn in one} == {first.name}
    assert {drawn.name for drawn in several} == {first.name, second.name}


def test_the_page_comes_from_what_the_command_writes(run: Run, photos: Path, tmp_path: Path) -> None:
    from wsol.cli.app import main

    main(["locate", str(run.folder), str(photos), "--output", str(tmp_path / "f"), "--format", "json,heatmap"])
    queue, expected = Queue.open(tmp_path / "f", run.classes), list(wsol.locate(run, photos))
    for number, result in enumerate(expected):
        assert queue.result(number).to_dict() == result.to_dict()
