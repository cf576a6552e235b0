"""`wsol serve` as a process: where it listens, how it ends, and that no answer is lost when it is killed."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import wsol
from wsol.cli.app import main
from wsol.runs.folder import Run


@contextmanager
def started(run: Run, *arguments: str | Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """The command, and the address that it says."""
    words = [sys.executable, "-m", "wsol", "serve", run.folder, *arguments, "--no-browser", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            address = re.fullmatch(r"open (http://127\.0\.0\.1:\d+) \(Ctrl-C ends\)\n", line)
            assert address, line + process.stdout.read()
            yield process, address[1]
        finally:
            process.kill()


def answered(address: str, number: int) -> None:
    about = httpx.get(f"{address}/api/review/{number}").json()
    said = {"photo": about["photo"], "said": "boxes", "boxes": about["proposed"]}
    assert httpx.post(f"{address}/api/review/{number}", json=said, headers={"origin": address}).status_code == 200


def test_no_answer_is_lost_when_it_is_killed_and_ctrl_c_says_where_they_are(run: Run, found: Path) -> None:
    with started(run, found) as (process, address):
        for number in (3, 5):
            answered(address, number)
        os.kill(process.pid, signal.SIGKILL)
    with started(run, found) as (process, address):
        review = httpx.get(f"{address}/api/review").json()
        assert review["history"] == [3, 5] and review["progress"]["left"] == 6
        process.send_signal(signal.SIGINT)
        assert process.stdout
        said = process.stdout.read()
        assert process.wait() == 0
    wrote = f"{found / 'reviewed'}: 8 photos written as coco, 2 of them decided by a person"
    assert said == f"ended, 6 photos left; answers are in {found / 'review.jsonl'}; {wrote}\n"
    rows = json.loads((found / "reviewed" / "coco.json").read_text())["annotations"]
    assert [row["image_id"] for row in rows if row["decided"] == "person"] == [4, 6]


def test_other_machines_cannot_reach_it(run: Run) -> None:
    with started(run) as (process, address):
        listening = {
            line.split()[1]
            for line in Path(f"/proc/{process.pid}/net/tcp").read_text().splitlines()[1:]
            if line.split()[3] == "0A" and int(line.split()[1].split(":")[1], 16) == int(address.rpartition(":")[2])
        }
        assert {place.split(":")[0] for place in listening} == {"0100007F"}
        assert "no located photos were given" in httpx.get(f"{address}/api/review").json()["error"]


def test_a_port_that_is_taken_is_one_line_with_what_to_do(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SystemExit) as ended:
            main(["serve", str(run.folder), "--port", str(port), "--no-browser"])
    said = f"wsol: port {port} is taken, perhaps by another wsol serve; open its page, or take another one: --port"
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1 and len(lines) == 1 and lines[0].startswith(said)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["nowhere"], "nowhere: holds no located photos with heatmaps; make it: wsol locate"),
        (["--format", "cocoo"], "cocoo"),
        (["--port", "70000"], "port 70000 cannot be had"),
    ],
)
def test_wrong_input_is_one_line(
    run: Run, arguments: list[str], match: str, capsys: pytest.CaptureFixture[str]
) -> None:
    free = [] if "--port" in arguments else ["--port", "0"]
    with pytest.raises(SystemExit) as ended:
        main(["serve", str(run.folder), *arguments, *free, "--no-browser"])
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1 and len(lines) == 1 and match in lines[0]


def test_without_the_extra_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    from wsol.serve.server import serve

    with pytest.raises(wsol.WsolError, match=r"pip install 'wsol\[app\]'"):
        serve(run, browser=False)
