"""Runs on the Hugging Face Hub: pushed there with a model card, and fetched when they are opened."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from wsol.errors import WsolError
from wsol.system.files import read_json

if TYPE_CHECKING:
    import wsol.runs.folder

PREFIX = "hf://"
# nothing that could run code, and no photo: the state of the optimiser and the sheets stay here
SHARED = ("run.json", "best.safetensors", "best.json", "threshold.json", "photos.json", "README.md")


def is_on_hub(name: Any) -> bool:
    """Whether a name stands for a run on the hub: `hf://USER/NAME`."""
    return isinstance(name, str) and name.startswith(PREFIX)


def fetch(name: str) -> Path:
    """The folder of a run on the hub, fetched once and kept by huggingface_hub. Only tensors and JSON are fetched.

    name: `hf://USER/NAME`, or `hf://USER/NAME@REVISION` for a branch, tag or commit.

    Raises WsolError where there is no such run, or the hub cannot be reached.
    """
    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    _check_name(repository, f"{PREFIX}USER/NAME")
    from huggingface_hub import snapshot_download

    with _told(name):
        folder = Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(SHARED)))
    if not (folder / "run.json").is_file():
        raise WsolError(f"{name}: holds no run of wsol (run.json is missing); push one with wsol push RUN USER/NAME")
    return folder


def push(
    run: Union[str, Path, "wsol.runs.folder.Run"],
    to: str,
    *,
    license: str | None = None,
    private: bool = False,
) -> str:
    """Put a run on the Hugging Face Hub, with a model card; others open it by `wsol.load("hf://USER/NAME")`.

    Its best network, settings and threshold go there, and digests of its training photos' files, by which `wsol
    evaluate` knows these again; no photo, and nothing of which files of this machine the settings name but their names.

    run: a run folder, as `wsol train` left it.
    to: USER/NAME of the repository, made where there is none.
    license: of the network, as the hub spells it, such as mit or cc-by-nc-4.0; that of the photos may bind you.
    private: whether a new repository is yours alone to see.

    Returns its address. Raises WsolError where the run is not whole, nobody is logged in, or the hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    from wsol.runs.card import card
    from wsol.runs.folder import Run

    _check_name(to, "USER/NAME")
    run = run if isinstance(run, Run) else Run.read(run)
    contents = {name: run.folder / name for name in SHARED if (run.folder / name).is_file()}
    for name in ("best.safetensors", "best.json"):
        if name not in contents:
            raise WsolError(f"{run.folder / name}: the run has no such file; train it to the end first")
    run.open()  # a damaged run is said here, not by whoever opens it later
    about: dict[str, Path | bytes] = {**contents}
    about["run.json"] = json.dumps(without_places(read_json(run.folder / "run.json")), indent=2).encode()
    about["README.md"] = card(run, to, license).encode()
    api = HfApi()
    with _told(to):
        api.create_repo(to, private=private or None, exist_ok=True)
        files = [CommitOperationAdd(name, content) for name, content in about.items()]
        api.create_commit(to, files, commit_message=f"{run.stack.title} of wsol")
    return f"{api.endpoint}/{to}"


def without_places(about: dict[str, Any]) -> dict[str, Any]:
    """What run.json says, without the folders of this machine in which files lay."""
    from wsol.runs.settings import FILES  # imports torch

    settings = about["settings"]
    places = {name: Path(settings[name]).name for name in FILES if settings.get(name)}
    return about | {"settings": settings | places, "data": Path(about["data"]).name}


def _check_name(name: str, form: str) -> None:
    """Raises WsolError for what can be no repository."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        if name.count("/") != 1:
            raise HFValidationError("it has a user and a name")
        validate_repo_id(name)
    except HFValidationError as error:
        raise WsolError(f"{name}: is no repository of the hub ({str(error)[:100]}); write {form}") from error


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What the hub or the network says against it, in one line."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise WsolError(f"{name}: its owner must give you access; ask for it on the hub's page") from error
    except errors.RepositoryNotFoundError as error:
        said = "is not on the hub, or private; check the name, and log in by: hf auth login"
        raise WsolError(f"{name}: {said}") from error
    except errors.RevisionNotFoundError as error:
        raise WsolError(f"{name}: the repository has no such branch, tag or commit") from error
    except errors.LocalTokenNotFoundError as error:
        raise WsolError(f"{name}: nobody is logged in to the hub; log in by: hf auth login") from error
    except errors.HfHubHTTPError as error:
        if error.response is not None and error.response.status_code in (401, 403):
            raise WsolError(f"{name}: the hub does not let you; log in by: hf auth login, to write there") from error
        raise WsolError(f"{name}: the hub refuses ({_first(error)})") from error
    except Exception as error:  # its HTTP library changes from version to version, and so do these
        raise WsolError(f"{name}: the hub cannot be reached ({_first(error)}); try again when online") from error


def _first(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:150] if lines else type(error).__name__
