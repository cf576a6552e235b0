"""A run, located photos, and the page over them: within the test, or as a server of its own."""

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import wsol
from wsol.data import Creatures
from wsol.export import find_formats, write_results
from wsol.runs.folder import Run
from wsol.serve.queue import Queue

pytest.importorskip("starlette", reason="the extra app is not installed")
pytest.importorskip("uvicorn", reason="the extra app is not installed")

SMALL = {"backbone": "resnet18", "weights": "none", "map_stride": 8, "image_size": 64, "workers": 0}
COUNT = 8


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    shown = Creatures("train", images=36, size=72)
    return wsol.train("cam", (shown, shown), tmp_path_factory.mktemp("run") / "cam", epochs=0, **SMALL)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, shown = tmp_path_factory.mktemp("photos"), Creatures("test", images=COUNT, size=160)
    for index in range(COUNT):
        path = folder / ("b" if index % 2 else "") / f"{index}.jpg"
        path.parent.mkdir(exist_ok=True)
        shown.image(index).resize((200, 160)).save(path, quality=95)
    return folder


@pytest.fixture(scope="session")
def located(run: Run, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `wsol locate RUN photos --format json,heatmap --classes 2` writes."""
    folder = tmp_path_factory.mktemp("located")
    results = wsol.locate(run, photos, classes=2, threshold=0.4)
    write_results(results, folder, list(run.classes), find_formats("json,heatmap").values())
    return folder


@pytest.fixture
def found(located: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(located, tmp_path / "found"))


@pytest.fixture
def queue(run: Run, found: Path) -> Queue:
    return Queue.open(found, run.classes)


@pytest.fixture(scope="session")
def localizer(run: Run) -> wsol.Localizer:
    return wsol.load(run)


@pytest.fixture
def served(localizer: wsol.Localizer) -> Callable:
    """A context: the page over a folder at its address; the server dies with the context."""
    import uvicorn

    from wsol.serve.app import Pages
    from wsol.serve.tried import Tried

    @contextmanager
    def serving(found: Path | None, port: int = 0) -> Iterator[str]:
        queue = None if found is None else Queue.open(found, localizer.classes)
        waiting = socket.create_server(("127.0.0.1", port))
        config = uvicorn.Config(Pages(Tried(localizer), queue).app(), log_level="error", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [waiting]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{waiting.getsockname()[1]}"
        server.should_exit = server.force_exit = True
        thread.join()
        waiting.close()

    return serving
