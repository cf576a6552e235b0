"""PASCAL VOC's format: voc/Annotations/NAME.xml, corners in pixels counted from 1, both ends included."""

from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as ET

from wsol.export.writer import Upright, Writer
from wsol.locating.result import Result
from wsol.system.files import write_text
from wsol.system.names import in_xml, within


class VocWriter(Writer):
    """One XML file a photo; folders are kept. Corners are whole pixels, as VOC's readers expect.

    Boxes of photos that are `unsure` are marked `difficult`, which readers leave out of training unless told.
    voc/upright/ holds copies of photos that EXIF turns, since boxes refer to the upright photo.
    """

    about = "PASCAL VOC's XML, a file a photo"
    owns = "voc"

    def __init__(self, folder: Path, classes: list[str]) -> None:
        super().__init__(folder, classes)
        self.upright = Upright()

    def add(self, result: Result) -> None:
        root = ET.Element("annotation")
        name = PurePosixPath(result.path)
        for tag, text in (("folder", str(name.parent)), ("filename", name.name)):
            ET.SubElement(root, tag).text = in_xml(text)
        size = ET.SubElement(root, "size")
        for tag, value in zip(("width", "height", "depth"), (*result.size, 3), strict=True):
            ET.SubElement(size, tag).text = str(value)
        for finding in result.findings:
            for x0, y0, x1, y1 in finding.boxes.tolist():
                item = ET.SubElement(root, "object")
                for tag, text in (
                    ("name", in_xml(finding.name)),
                    ("pose", "Unspecified"),
                    ("truncated", "0"),
                    ("difficult", str(int(result.unsure))),
                ):
                    ET.SubElement(item, tag).text = text
                box = ET.SubElement(item, "bndbox")
                corners = (round(x0) + 1, round(y0) + 1, max(round(x1), round(x0) + 1), max(round(y1), round(y0) + 1))
                for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
                    ET.SubElement(box, tag).text = str(value)
        ET.indent(root)
        path = within(self.root / "Annotations", f"{self.stem(result.path)}.xml")
        write_text(path, ET.tostring(root, encoding="unicode") + "\n")
        self.upright.add(result, self, "upright")

    def close(self) -> None:
        self.upright.say(self.folder / self.owns / "upright")
