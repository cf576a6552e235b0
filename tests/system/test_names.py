"""Names that may be anything, on their way into paths, tables, XML, terminals and messages."""

import csv
import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.errors import WsolError, one_line, repeated
from wsol.system.console import PlainConsole
from wsol.system.files import write_csv, write_json, write_text
from wsol.system.names import in_table, in_xml, path_in_table, within

# as Linux gives them: bytes that are no UTF-8 are lone surrogates
names = st.text(st.characters() | st.characters(codec=None, categories=["Cs"]), max_size=40)


@pytest.mark.parametrize("name", ["../x.jpg", "/x.jpg", "a/../../x.jpg", "", ".", "a/..", "a\0b", "a/../b"])
def test_no_name_leads_out_of_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(WsolError, match="names no file, or leads out of its folder; rename the photo"):
        within(tmp_path, name)


@pytest.mark.parametrize("name", ["x.jpg", "a/b/x.jpg", "..x", "a b/=x", "caf\udce9.jpg"])
def test_other_names_stay(tmp_path: Path, name: str) -> None:
    assert within(tmp_path, name) == tmp_path / name


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ["a", "b"], [{"a": "=1+1", "b": -1}, {"a": "caf\udce9", "b": 2}])
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], ["'=1+1", "-1"], ["caf\\udce9", "2"]]
    assert in_table("a=1") == "a=1"
    assert path_in_table("-1.jpg") == "./-1.jpg" and Path("./-1.jpg") == Path("-1.jpg")


@given(names)
def test_any_name_is_xml(name: str) -> None:
    element = ElementTree.Element("a", name=in_xml(name))
    element.text = in_xml(name)
    content = ElementTree.tostring(element, encoding="unicode").encode()
    read = ElementTree.fromstring(content)
    if name.isprintable():
        assert read.get("name") == name and (read.text or "") == name


@given(names)
def test_any_text_is_a_message_of_one_line(name: str) -> None:
    for text in (name, 300 * name):
        said = str(WsolError(f"a.json: {text}; fix it"))
        assert said.isprintable() and len(said) <= 500 and said.startswith("a.json:")
        assert said == one_line(said)
        assert said.endswith("fix it")


@given(names)
def test_no_name_moves_the_cursor(name: str) -> None:
    shown = io.StringIO()
    PlainConsole(file=shown, force_terminal=True, width=1000).print(f"<{name}>")
    assert all(one.isprintable() or one in "\n\xa0" for one in shown.getvalue())
    if name.isprintable():
        assert f"<{name}>" in shown.getvalue()


def test_names_that_are_no_utf8_are_written_as_escapes(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "caf\udce9"})
    assert (tmp_path / "a.json").read_bytes() == b'{\n  "name": "caf\\udce9"\n}\n'
    write_text(tmp_path / "a.txt", "caf\udce9")
    assert (tmp_path / "a.txt").read_bytes() == b"caf\\udce9"


def test_the_first_name_that_comes_again() -> None:
    assert repeated(["a", "b", "c", "b", "a"]) == "b" and repeated("abc") is None
