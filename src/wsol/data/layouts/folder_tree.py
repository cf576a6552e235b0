"""Which folders below a folder are splits, which are classes, and what is neither."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from wsol.data.classes import folded
from wsol.data.dataset import Split, split_named
from wsol.data.finding import files_in, is_hidden, photos_in
from wsol.errors import WsolError, listed

SYSTEM_FILES = {"thumbs.db", "desktop.ini", "icon\r"}
TEXTS = {".txt", ".md", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".html", ".pdf"}
NAMED = 5  # files or folders that a message names

Photos = list[tuple[Path, str]]  # with their names within a folder


@dataclass
class ClassFolders:
    """Folders whose names are classes.

    folder: the folder that holds them.
    photos: of each class, sorted by path; those in folders below their class are among them.
    empty: folders that hold no photo.
    """

    folder: Path
    photos: dict[str, list[Path]]
    empty: list[Path]


@dataclass
class FolderTree:
    """What a folder of photos is taken for.

    root: the folder.
    parts: the class folders of each split folder; under None those that lie in no split folder.
    spelled: how the split folders are called.
    remarks: how the tree was read, where it could be read otherwise.
    left_out: what could be meant as a photo or class but is none, as lines that count and name it.
    aside: the same of what nobody would miss: hidden files, those of the system and texts.
    """

    root: Path
    parts: dict[Split | None, ClassFolders] = field(default_factory=dict)
    spelled: dict[Split, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)


def read_tree(root: Path) -> FolderTree:
    """Reads a folder's tree; a folder counts if a photo lies in it or below.

    Folders are splits where all of them are named as splits are, or two of different splits that hold folders: what
    else lies there is then left out. Otherwise they are classes. A folder that is alone, and holds no photo but in
    folders, stands for these folders.

    root: The folder.

    Raises WsolError for two folders of one split, for a folder that could be both split and class, for names that are
    not UTF-8, and for folders that may not be read.
    """
    tree = FolderTree(root)
    if not root.is_dir():
        tree.parts[None] = ClassFolders(root, {}, [])
        return tree
    photos = photos_in(root)
    home, folders = _home(tree, root, _by_folder(photos))
    splits: dict[str, Split] = {name: split for name in folders if (split := split_named(name))}
    sure = {split for name, split in splits.items() if _only_below(folders[name])}
    if folders and (len(splits) == len(folders) or len(sure) > 1):
        for name, split in splits.items():
            if other := tree.spelled.get(split):
                raise WsolError(
                    f"{home}: the folders {other} and {name} both mean {split}; merge or rename one of them"
                )
            tree.spelled[split] = name
            inside = _home(tree, home / name, _by_folder(folders[name]), in_split=True)
            tree.parts[split] = _class_folders(tree, *inside)
    else:
        tree.parts[None] = _class_folders(tree, home, folders)
    empty = {path for part in tree.parts.values() for path in part.empty} | {*_empty(home, folders)}
    if home != root:
        empty |= {*_empty(root, home.relative_to(root).parts)}
    _leave_out(tree, photos, sorted(empty))
    return tree


def _by_folder(photos: Photos) -> dict[str, Photos]:
    """Photos by the first folder in their names, which then count from there. Those in no folder are left out."""
    folders: dict[str, Photos] = {}
    for path, name in photos:
        first, _, rest = name.partition("/")
        if rest:
            folders.setdefault(first, []).append((path, rest))
    return folders


def _home(
    tree: FolderTree, top: Path, folders: dict[str, Photos], in_split: bool = False
) -> tuple[Path, dict[str, Photos]]:
    """The folder that holds class folders or split folders, and these: not one that only holds a single other one."""
    home = top
    while len(folders) == 1:
        ((name, photos),) = folders.items()
        if not _only_below(photos) or (split_named(name) and not in_split):
            break
        home, folders = home / name, _by_folder(photos)
    if home != top:
        tree.remarks.append(
            f"{top}: its only folder with photos is {home.relative_to(top)}, which is read in its place"
        )
    return home, folders


def _only_below(photos: Photos) -> bool:
    """Whether all photos of a folder lie in folders below it."""
    return all("/" in name for _, name in photos)


def _class_folders(tree: FolderTree, folder: Path, folders: dict[str, Photos]) -> ClassFolders:
    """The folders as classes. Raises WsolError where one could be a split."""
    below = [name for name in folders if _only_below(folders[name])]
    named = [name for name in folders if split_named(name)]
    if doubtful := [name for name in named if name in below]:
        others = [name for name in sorted(folders) if name != doubtful[0]]
        raise WsolError(
            f"{folder}: {doubtful[0]} holds folders as a split does, but lies beside {listed(others, most=NAMED)}; "
            f"move away what is no split, or, if {doubtful[0]} is a class, move its photos up into it"
        )
    if named:
        tree.remarks.append(f"{folder}: {listed(named)} is read as a class, as not all folders here are splits")
    if below:
        inner = listed(sorted({f"{below[0]}/{name.partition('/')[0]}" for _, name in folders[below[0]]}), most=3)
        tree.remarks.append(
            f"{folder}: all photos of {listed(below, most=NAMED)} lie in folders below ({inner}); "
            f"the classes are {listed(sorted(folders), most=NAMED)}"
        )
    alike: dict[str, str] = {}
    for name in sorted(folders):
        if (other := alike.setdefault(folded(name), name)) != name:
            tree.remarks.append(f"{folder}: {other} and {name} are two classes, though they look alike")
    photos = {name: [path for path, _ in folders[name]] for name in folders}
    return ClassFolders(folder, photos, _empty(folder, folders))


def _leave_out(tree: FolderTree, photos: Photos, empty: list[Path]) -> None:
    """Counts and names what lies in the folder and is no photo of a class."""
    used = {path for part in tree.parts.values() for paths in part.photos.values() for path in paths}
    known = {path for path, _ in photos}
    if bad := [path.relative_to(tree.root) for path in used if not _is_utf8(path.relative_to(tree.root))]:
        raise WsolError(f"{tree.root}: the name {_shown(min(bad))} is not UTF-8; rename it")
    hidden, texts, others, dangling = [], [], [], []
    for path in sorted(files_in(tree.root)):
        name = path.relative_to(tree.root)
        if is_hidden(name) or name.name.lower() in SYSTEM_FILES:
            hidden.append(name)
        elif not path.exists():
            dangling.append(name)
        elif path not in known:
            (texts if name.suffix.lower() in TEXTS else others).append(name)
    deep = [
        path.relative_to(tree.root)
        for part in tree.parts.values()
        for name, paths in part.photos.items()
        for path in paths
        if path.parent != part.folder / name in {path.parent for path in paths}
    ]
    stray = [path.relative_to(tree.root) for path in sorted(known - used)]
    folders = [path.relative_to(tree.root) for path in empty]
    tree.left_out = [
        *_line(tree.root, stray, "photo lies", "photos lie", "outside any class folder"),
        *_line(tree.root, others, "file is", "files are", f"of no known photo format ({_kinds(others)})"),
        *_line(tree.root, dangling, "link leads", "links lead", "nowhere"),
        *_line(tree.root, folders, "folder holds", "folders hold", "no photo", end=""),
    ]
    tree.aside = [
        *_line(tree.root, texts, "file is text", "files are text", f"({_kinds(texts)})"),
        *_line(tree.root, hidden, "file is hidden", "files are hidden", "or the system's"),
        *_line(tree.root, deep, "photo lies in a folder", "photos lie in folders", "below the class", end=""),
    ]


def _line(root: Path, names: list[Path], one: str, many: str, rest: str, end: str = " left out") -> list[str]:
    if not names:
        return []
    verb = " and is" if len(names) == 1 else " and are"
    said = f"{len(names)} {one if len(names) == 1 else many} {rest}{verb + end if end else ''}"
    return [f"{root}: {said}: {listed(list(map(_shown, names)), most=NAMED)}"]


def _kinds(names: list[Path]) -> str:
    kinds = Counter(name.suffix.lower() or "without a suffix" for name in names)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def _empty(place: Path, full: Iterable[str]) -> list[Path]:
    """The folders in a place that hold no photo, where `full` are those that do."""
    paths = (path for path in sorted(place.iterdir()) if path.is_dir() and path.name not in full)
    return [path for path in paths if not is_hidden(Path(path.name))]


def _is_utf8(name: Path) -> bool:
    return os.fsencode(name) == str(name).encode("utf-8", "replace")


def _shown(name: Path) -> str:
    """A name that can be printed, whatever its bytes."""
    return os.fsencode(name.as_posix()).decode("utf-8", "backslashreplace")
