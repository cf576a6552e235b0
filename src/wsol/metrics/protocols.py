"""The conventions that a localization score depends on: without the protocol's name it means nothing.

`clova` is the protocol of Choe et al., CVPR 2020 (clovaai/wsolevaluation): every map is resized to 224 x 224,
true boxes are cut down to whole pixels there, IoU counts x1 and y1 as inside, a hit has IoU >= 0.3, 0.5 or 0.7,
images are averaged, and an empty map answers with the box 0 0 0 0.
"""

PROTOCOL = "clova"
SIZE = 224
IOUS = (30, 50, 70)
