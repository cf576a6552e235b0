"""Runs on the Hugging Face Hub, by a local stand-in of its API: what goes there, what comes back, what is said."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import constants

import wsol
from wsol.cli.app import main
from wsol.data import Creatures
from wsol.errors import WsolError

COMMIT = "0123456789" * 4


class Hub(ThreadingHTTPServer):
    """What huggingface_hub asks of the hub, kept in memory.

    repositories: name -> file -> content.
    token: who may write.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.token = "hf_right"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Asked(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, status: int, content: Any = b"", **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", headers.get("size", str(len(body))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self.answer(401, {"error": "Invalid credentials"})
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            self.server.repositories.setdefault(name, {})
            self.server.private[name] = "private" in (asked.get("visibility"), "private" * bool(asked.get("private")))
            return self.answer(200, {"url": f"{self.server.address}/{name}"})
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        name = re.match(r"/api/models/([^/]+/[^/]+)/", self.path)
        assert name, self.path
        if "/preupload/" in self.path:
            files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]]
            return self.answer(200, {"files": [file | {"shouldIgnore": False} for file in files]})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                content = base64.b64decode(line["value"]["content"])
                self.server.repositories[name[1]][line["value"]["path"]] = content
        address = f"{self.server.address}/{name[1]}/commit/{COMMIT}"
        return self.answer(200, {"success": True, "commitOid": COMMIT, "commitUrl": address})

    def do_GET(self) -> None:
        if match := re.match(r"/api/models/([^/]+/[^/]+)/tree/", self.path):
            files = self.server.repositories[match[1]].items()
            listed = [{"type": "file", "path": path, "size": len(content), "oid": COMMIT} for path, content in files]
            return self.answer(200, listed)
        if match := re.match(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/?]+))?", self.path):
            return self.about(*match.groups())
        match = re.match(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", self.path)
        assert match, self.path
        content = self.server.repositories[match[1]][match[2]]
        etag = f'"{hashlib.sha1(content).hexdigest()}"'
        return self.answer(200, content, ETag=etag, X_Repo_Commit=COMMIT)

    do_HEAD = do_GET

    def about(self, name: str, revision: str | None) -> None:
        if (files := self.server.repositories.get(name)) is None:
            return self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        if revision not in (None, "main", COMMIT):
            return self.answer(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
        listed = [{"rfilename": path} for path in files]
        return self.answer(200, {"id": name, "modelId": name, "sha": COMMIT, "siblings": listed, "private": False})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with Hub() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            server.address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", server.token)
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "cam"
    options = {"backbone": "squeezenet1_1", "weights": "none", "map_stride": 8, "image_size": 64, "workers": 0}
    shown = Creatures("train", images=36, size=72)
    wsol.train("cam", (shown, shown), folder, epochs=1, **options)
    return folder


def test_what_is_pushed_comes_back_and_answers_alike(hub: Hub, run: Path) -> None:
    assert wsol.push(run, "ann/creatures", private=True) == f"{hub.address}/ann/creatures"
    assert hub.private == {"ann/creatures": True}
    images = torch.rand(2, 3, 64, 64)
    here, there = wsol.load(run).look(images), wsol.load("hf://ann/creatures").look(images)
    assert torch.equal(here.logits, there.logits) and torch.equal(here.heatmaps, there.heatmaps)
    assert torch.equal(wsol.load("hf://ann/creatures@main").look(images).logits, here.logits)
    photo = Creatures("test", images=1, size=64).image(0)
    (result,) = wsol.locate("hf://ann/creatures", photo)
    np.testing.assert_array_equal(result.boxes, next(iter(wsol.locate(run, photo))).boxes)


def test_only_tensors_json_and_the_card_are_pushed(hub: Hub, run: Path) -> None:
    (run / "resume.ckpt").touch()
    (run / "sheets").mkdir(exist_ok=True)
    (run / "sheets" / "epoch_001.jpg").touch()
    (run / "threshold.json").unlink(missing_ok=True)
    wsol.push(run, "ann/creatures")
    assert set(hub.repositories["ann/creatures"]) == {
        "README.md",
        "best.json",
        "best.safetensors",
        "photos.json",
        "run.json",
    }


def test_no_folder_of_this_machine_is_named(hub: Hub, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("best.safetensors", "best.json"):
        (copy / name).write_bytes((run / name).read_bytes())
    about = json.loads((run / "run.json").read_text())
    about["settings"] |= {"weights": "/home/ann/squeezenet.pth", "pseudo_boxes": "/home/ann/boxes/results.jsonl"}
    about["data"] = "/home/ann/photos"
    (copy / "run.json").write_text(json.dumps(about))
    wsol.push(copy, "ann/creatures")
    pushed = hub.repositories["ann/creatures"]
    assert not [name for name, content in pushed.items() if b"/home" in content]
    settings = json.loads(pushed["run.json"])["settings"]
    assert (settings["weights"], settings["pseudo_boxes"]) == ("squeezenet.pth", "results.jsonl")
    assert wsol.load("hf://ann/creatures").classes == wsol.load(run).classes


def test_the_card_says_what_the_run_is_and_how_good(hub: Hub, run: Path) -> None:
    stored = run / "evaluations"
    stored.mkdir(exist_ok=True)
    figures = {"data": "/home/ann/birds", "images": 250, "measured": "test", "threshold": 0.35, "MaxBoxAcc": 61.26}
    for day, accuracy in (("2026-01-02", 61.26), ("2026-01-01", 12.0)):
        entries = figures | {"date": day, "MaxBoxAcc": accuracy, "Top1Loc": None, "threshold_source": "validation"}
        (stored / f"{day}.json").write_text(json.dumps(entries))
    wsol.push(run, "ann/creatures", license="cc-by-4.0")
    text = hub.repositories["ann/creatures"]["README.md"].decode()
    head = yaml.safe_load(text.split("---")[1])
    assert head["license"] == "cc-by-4.0" and head["library_name"] == "wsol" and "cam" in head["tags"]
    for words in (
        "# creatures",
        'wsol.locate("hf://ann/creatures", "photos")',
        "On 250 photos of birds (test), threshold 0.35 (validation):",
        "| MaxBoxAcc | 61.3 |",
        "Learning Deep Features for Discriminative Localization",
        "@inproceedings{",
        "12 classes",
        *wsol.load(run).classes,
    ):
        assert words in text
    assert "| 12.0 |" not in text and "None" not in text and "/home" not in text
    for file in stored.iterdir():
        file.unlink()
    wsol.push(run, "ann/creatures")
    text = hub.repositories["ann/creatures"]["README.md"].decode()
    assert "Its boxes have not been measured." in text and "license" not in yaml.safe_load(text.split("---")[1])


def said(capsys: pytest.CaptureFixture[str], *words: Any) -> str:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    assert left.value.code == 1
    shown = capsys.readouterr().err.strip().splitlines()[-1]  # below the hub's own bars
    assert shown.startswith("wsol: ")
    return shown


def test_the_command_says_where_the_run_is(hub: Hub, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["push", str(run), "ann/creatures", "--license", "mit", "--private"])
    assert f"{hub.address}/ann/creatures: pushed" in capsys.readouterr().out


def test_what_the_hub_has_against_it_is_one_line(
    hub: Hub, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = ("--output", tmp_path / "found")
    photo = tmp_path / "photo.png"
    Creatures("test", images=1, size=64).image(0).save(photo)
    assert "is not on the hub, or private" in said(capsys, "locate", "hf://ann/nothing", photo, *output)
    hub.repositories["ann/empty"] = {"README.md": b"a repository of something else"}
    assert "holds no run of wsol" in said(capsys, "locate", "hf://ann/empty", photo, *output)
    assert "no such branch" in said(capsys, "locate", "hf://ann/empty@old", photo, *output)
    for name in ("creatures", "a/b/c", "ann/ü", "ann/"):
        assert "is no repository of the hub" in said(capsys, "push", run, name)
    assert "no run is stored here" in said(capsys, "push", tmp_path, "ann/creatures")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "log in by: hf auth login" in said(capsys, "push", run, "ann/creatures")
    assert "ann/creatures" not in hub.repositories


def test_a_damaged_run_is_not_pushed(hub: Hub, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("run.json", "best.json"):
        (copy / name).write_bytes((run / name).read_bytes())
    with pytest.raises(WsolError, match=r"best\.safetensors: the run has no such file"):
        wsol.push(copy, "ann/creatures")
    (copy / "best.safetensors").write_bytes(b"cut")
    with pytest.raises(WsolError, match=r"best\.safetensors: damaged"):
        wsol.push(copy, "ann/creatures")
    assert hub.repositories == {}


def test_a_hub_that_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Path) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    for ask in (lambda: wsol.load("hf://ann/creatures"), lambda: wsol.push(run, "ann/creatures")):
        with pytest.raises(WsolError, match="the hub cannot be reached") as error:
            ask()
        assert "\n" not in str(error.value)
