"""The demo's page: one file, both methods beside the trivial boxes, pictures inside."""

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from wsol.cli.demo import demo
from wsol.data.layouts import creatures


def test_the_page_holds_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(creatures, "COUNTS", {"train": 36, "val": 12, "test": 12})
    demo(output=tmp_path, minutes=0.01)
    page = tmp_path / "index.html"
    assert f"open {page}" in capsys.readouterr().out
    text = page.read_text()
    for row in ("CAM", "BAS", "CentreBox", "WholeImage"):
        assert re.search(rf"<tr><th>{row}</th>(<td>[\d.]*</td>)+</tr>", text)
    assert "$" not in text and re.search(r"<b>(CAM|BAS) names \d+ % of the creatures", text)
    assert not re.search(r'(src|href)="(?!data:)', text)
    pictures = [Image.open(io.BytesIO(base64.b64decode(each))) for each in re.findall(r"base64,([^\"]+)", text)]
    assert len(pictures) == 2
    sheet = pictures[0]
    assert sheet.width > 4 * 224 and sheet.height > 5 * 224
    assert (tmp_path / "sheet.jpg").is_file()
