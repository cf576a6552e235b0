"""The methods' losses and heatmaps again, image by image, on a network without batch norm."""

import math

import torch
from oracles.maps import channel_mean, cross_entropy, drawn, erase, min_max, strongest, upsampled
from oracles.networks import class_token_attention
from torch import Tensor


def classify(head, features: Tensor) -> Tensor:
    """Logits (k,) of one feature (c, h, w), the slow way: class maps, then their mean."""
    return torch.stack([class_map(head, features, k).mean() for k in range(len(head.classifier.bias))])


def class_map(head, features: Tensor, label: int) -> Tensor:
    maps = head.hidden(features[None])[0]
    own = (head.classifier.weight[label, :, 0, 0, None, None] * maps).sum(0) + head.classifier.bias[label]
    return own.clamp(min=0) if head.rectify else own


def cam(method, images: Tensor, labels: list[int]) -> float:
    losses = [
        cross_entropy(classify(method.head, method.backbone(image[None])[0]), label)
        for image, label in zip(images, labels, strict=True)
    ]
    return sum(losses) / len(losses)


def eil(method, images: Tensor, labels: list[int], boundaries: list[str], variant: str) -> list[float]:
    """Unweighted cross-entropies: intact, then one a boundary; each erased stream is run from scratch."""
    sums = [0.0] * (1 + len(boundaries))
    for image, label in zip(images, labels, strict=True):
        sums[0] += cross_entropy(classify(method.head, method.backbone(image[None])[0]), label)
        for i, boundary in enumerate(boundaries):
            if variant == "I":
                feature = method.backbone(image[None], until=boundary)
                feature = _erased(feature, method.erase_threshold)
            else:
                feature, before = image[None], None
                for each in boundaries[: i + 1]:
                    feature = method.backbone(feature, after=before, until=each)
                    feature, before = _erased(feature, method.erase_threshold), each
            sums[1 + i] += cross_entropy(classify(method.head, method.backbone(feature, after=boundary)[0]), label)
    return [each / len(labels) for each in sums]


def _erased(features: Tensor, threshold: float) -> Tensor:
    return erase(features[0], strongest(channel_mean(features)[0], threshold))[None]


def acol(method, images: Tensor, labels: list[int]) -> tuple[float, float, list[Tensor]]:
    """Losses of A and B, and the fused map of each image's label."""
    loss_a = loss_b = 0.0
    fused = []
    for image, label in zip(images, labels, strict=True):
        features = method.backbone(image[None])[0]
        map_a = min_max(class_map(method.head_a, features, label))
        where = [(int(y), int(x)) for y, x in (map_a >= method.erase_threshold).nonzero()]
        erased = erase(features, where)
        map_b = min_max(class_map(method.head_b, erased, label))
        loss_a += cross_entropy(classify(method.head_a, features), label)
        loss_b += cross_entropy(classify(method.head_b, erased), label)
        fused.append(torch.where(map_a > map_b, map_a, map_b))
    return loss_a / len(labels), loss_b / len(labels), fused


def bas(method, images: Tensor, labels: list[int]) -> dict[str, float]:
    """BAS's four terms without their weights, and what AEPL needs of them, on a network without batch norm."""
    sums = dict.fromkeys(("classification", "foreground", "background", "area", "erased", "erased_mask", "pseudo"), 0.0)
    for image, label in zip(images, labels, strict=True):
        feature = method.backbone(image[None], until=method.boundary)
        weight, bias = method.head_mask.weight[label], method.head_mask.bias[label]
        mask = torch.sigmoid(torch.nn.functional.conv2d(feature, weight[None], bias[None], padding=1))[0, 0]
        last = method.backbone(feature, after=method.boundary)[0]
        class_maps = torch.stack([class_map(method.head, last, k) for k in range(len(method.head.classifier.bias))])
        logits = class_maps.mean((1, 2))

        def under(some: Tensor, class_maps: Tensor = class_maps, label: int = label) -> float:
            step = len(some) // class_maps.shape[-1]
            rows, columns = class_maps.shape[-2:]
            small = torch.zeros(rows, columns)
            for y in range(rows):
                for x in range(columns):
                    small[y, x] = some[step * y : step * y + step, step * x : step * x + step].mean()
            return cross_entropy((class_maps * small).mean((1, 2)), label)

        left = classify(method.head, method.backbone(feature * (1 - mask), after=method.boundary)[0])[label].clamp(
            min=0
        )
        whole = logits[label].clamp(min=0)
        sums["classification"] += cross_entropy(logits, label)
        sums["foreground"] += under(mask)
        sums["background"] += 1.0 if left > whole else (left / (whole + 1e-8)).item()
        sums["area"] += mask.mean().item()
        if hasattr(method, "erase_threshold"):
            own = min_max(class_maps[label])
            kept = torch.tensor([[float(value < method.erase_threshold) for value in row] for row in own.tolist()])
            sums["erased"] += cross_entropy((class_maps * kept).mean((1, 2)), label)
            if method.mask_erased_by == "map":
                finer = torch.nn.functional.interpolate(own[None, None], mask.shape, mode="bilinear")[0, 0]
                weak = mask * (finer < method.mask_threshold)
            else:
                strong = method.mask_threshold * (mask.max().item() if method.relative else 1.0)
                weak = torch.tensor([[v if v <= strong else 0.0 for v in row] for row in mask.tolist()])
            sums["erased_mask"] += under(weak)
            values = [v for row in mask.tolist() for v in row]
            above = [1 - v for v in values if v > method.foreground_above]
            below = [v for v in values if v < method.background_below]
            if method.balanced:
                sums["pseudo"] += sum(sum(some) / max(1, len(some)) for some in (above, below)) / 2
            else:
                sums["pseudo"] += sum(above + below) / max(1, len(above + below))
    return {name: value / len(labels) for name, value in sums.items()}


def hidden(image: Tensor, mean: list[float], side: int, drawn: list[list[float]], rate: float) -> Tensor:
    """HaS, pixel by pixel: the mean colour in the patches whose drawn number is below the rate."""
    out = image.clone()
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            if side and drawn[y // side][x // side] < rate:
                for channel in range(3):
                    out[channel, y, x] = mean[channel]
    return out


def mixed(
    images: Tensor, labels: list[int], order: list[int], kept: float, centre: tuple[int, int], classes: int
) -> tuple[Tensor, Tensor]:
    """CutMix, pixel by pixel: photos with a box of another one, and soft labels by what was really pasted."""
    height, width = images.shape[-2:]
    half = [int(side * math.sqrt(1 - kept)) // 2 for side in (height, width)]
    out, soft = images.clone(), torch.zeros(len(images), classes)
    for i, (label, other) in enumerate(zip(labels, order, strict=True)):
        pasted = 0
        for y in range(height):
            for x in range(width):
                if centre[0] - half[0] <= y < centre[0] + half[0] and centre[1] - half[1] <= x < centre[1] + half[1]:
                    out[i, :, y, x] = images[other, :, y, x]
                    pasted += 1
        soft[i, label] += 1 - pasted / (height * width)
        soft[i, labels[other]] += pasted / (height * width)
    return out, soft


def attended(features: Tensor, threshold: float, dropped: bool) -> Tensor:
    """ADL at one boundary, image by image: the strongest region dropped, or all weighted by its attention."""
    out = features.clone()
    for i, attention in enumerate(channel_mean(features)):
        highest = max(attention.flatten().tolist())
        for y in range(attention.shape[0]):
            for x in range(attention.shape[1]):
                value = attention[y, x].item()
                kept = float(value < threshold * highest) if dropped else 1 / (1 + math.exp(-value))
                out[i, :, y, x] = kept * features[i, :, y, x]
    return out


def trilite(method, images: Tensor, labels: list[int]) -> tuple[dict[str, float], list[Tensor]]:
    """TriLite's three terms without alpha, and each photo's map; cell by cell, in eval mode, without dropout."""
    sums = dict.fromkeys(("classification", "foreground", "background"), 0.0)
    maps = []
    conv, norm = method.tri_head
    scale, shift, means, variances = (
        values.tolist() for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    for image, label in zip(images, labels, strict=True):
        features, class_token = (value[0] for value in method.tokens(image[None]))
        channels, rows, columns = features.shape
        padded = torch.zeros(channels, rows + 2, columns + 2)
        padded[:, 1:-1, 1:-1] = features
        shares = torch.zeros(len(norm.bias), rows, columns)
        for y in range(rows):
            for x in range(columns):
                values = []
                for region, weight in enumerate(conv.weight):
                    value = (weight * padded[:, y : y + 3, x : x + 3]).sum().item()
                    value = (value - means[region]) / math.sqrt(variances[region] + norm.eps)
                    values.append(math.exp(value * scale[region] + shift[region]))
                shares[:, y, x] = torch.tensor(values) / sum(values)
        vectors = []
        for share in shares[:2]:
            vector = sum(share[y, x] * features[:, y, x] for y in range(rows) for x in range(columns))
            vectors.append(method.region_head(vector / (share.sum() + 1e-6)))
        sums["classification"] += cross_entropy(method.class_head(class_token), label)
        sums["foreground"] += cross_entropy(vectors[0], label)
        sums["background"] -= math.log(1 - math.exp(-cross_entropy(vectors[1], label)) + 1e-7)
        maps.append(shares[0])
    return {name: value / len(labels) for name, value in sums.items()}, maps


def tscam(method, images: Tensor, labels: list[int]) -> tuple[float, list[Tensor]]:
    """TS-CAM's loss, and each photo's map of its class, cell by cell, in eval mode."""
    backbone, network, classifier = method.backbone, method.backbone.network, method.head.classifier
    loss, maps = 0.0, []
    for image, label in zip(images, labels, strict=True):
        x = (image[None] - backbone.mean) / backbone.std
        patches = network.forward_features(x)[0, network.num_prefix_tokens :]
        rows, columns = (side // backbone.stride(-1) for side in image.shape[1:])
        padded = torch.zeros(patches.shape[1], rows + 2, columns + 2)
        for place, patch in enumerate(patches):
            padded[:, 1 + place // columns, 1 + place % columns] = patch
        semantic = torch.zeros(len(classifier.bias), rows, columns)
        for k, (weight, bias) in enumerate(zip(classifier.weight, classifier.bias, strict=True)):
            for y in range(rows):
                for x0 in range(columns):
                    semantic[k, y, x0] = (weight * padded[:, y : y + 3, x0 : x0 + 3]).sum() + bias
        loss += cross_entropy(semantic.mean((1, 2)), label)
        maps.append(semantic[label] * class_token_attention(network, x).sum((0, 1)).view(rows, columns))
    return loss / len(labels), maps


def fewshot(method, images: Tensor, boxes: list[list[list[float]]]) -> float:
    """The few-shot baseline's loss, cell by cell; boxes are shares of the image, several of each."""
    terms = []
    for image, own in zip(images, boxes, strict=True):
        features = method.backbone(image[None])[0]
        for y in range(features.shape[1]):
            for x in range(features.shape[2]):
                covered = max(drawn(box, features.shape[1])[y, x].item() for box in own)
                score = (method.head.weight[0, :, 0, 0] * features[:, y, x]).sum() + method.head.bias[0]
                says = 1 / (1 + math.exp(-score.item()))
                terms.append(-covered * math.log(says) - (1 - covered) * math.log(1 - says))
    return sum(terms) / len(terms)


def gcnet(method, images: Tensor, labels: list[int]) -> dict[str, float]:
    """GC-Net's four terms without the area's weight, on a network without batch norm."""
    sums = dict.fromkeys(("classification", "object", "background", "area"), 0.0)
    for image, label in zip(images, labels, strict=True):
        shares = (method.shape_head(method.detector(image[None])[0].mean((1, 2)))).sigmoid().tolist()
        mask = torch.zeros(image.shape[1:])
        for y in range(len(mask)):
            for x in range(len(mask)):
                mask[y, x] = gcnet_cell(method, shares, (x + 0.5) / len(mask), (y + 0.5) / len(mask))
        mean = method.backbone.mean
        logits = {
            name: classify(method.head, method.backbone((mean + left * (image - mean))[None])[0])
            for name, left in {"classification": torch.ones(()), "object": mask, "background": 1 - mask}.items()
        }
        for name in ("classification", "object"):
            sums[name] += cross_entropy(logits[name], label)
        scores = logits["background"].softmax(0).tolist()
        sums["background"] += math.log(len(scores)) + sum(score * math.log(score) for score in scores)
        sums["area"] += shares[2] * shares[3]
    return {name: value / len(labels) for name, value in sums.items()}


def gcnet_cell(method, shares: list[float], x: float, y: float) -> float:
    """GC-Net's mask at one point of the photo."""
    centre_x, centre_y, width, height, turn = (*shares, 0.5)[:5]
    angle = math.pi * (turn - 0.5)
    right, down = x - centre_x, y - centre_y
    along = (right * math.cos(angle) + down * math.sin(angle)) / (width / 2)
    athwart = (down * math.cos(angle) - right * math.sin(angle)) / (height / 2)
    distance = along**2 + athwart**2 if method.shape == "ellipse" else max(along**2, athwart**2)
    return 1 / (1 + math.exp(min((distance - 1) / (2 * method.softness), 700)))


def spg(method, images: Tensor, labels: list[int]) -> dict[str, float]:
    """SPG's four terms without dropout, pixel by pixel; one list of sure pixels for the whole batch."""
    shallow, deep = method.guided_at
    classification, pixels = 0.0, {"b2": [], "b1": [], "c": []}
    for image, label in zip(images, labels, strict=True):
        features = method.backbone(image[None])[0]
        logits = classify(method.head, features)
        classification += cross_entropy(logits, label)
        side = image.shape[-1]
        guide = min_max(upsampled(class_map(method.head, features, label), side))
        masks = {}
        for name, own, boundary in (("b1", method.head_b1, shallow), ("b2", method.head_b2, deep)):
            hidden = own(method.backbone(image[None], until=boundary))[0].clamp(min=0)
            masks[name] = upsampled(class_map(method.head_b, hidden, 0), side)
        masks["c"] = upsampled(class_map(method.head_c, method.head.hidden(features[None])[0], 0), side)
        b1, b2 = torch.sigmoid(masks["b1"]), torch.sigmoid(masks["b2"])
        guides = {"b2": guide, "b1": b2, "c": (b1 + b2) / 2}
        for name, (high, low) in (("b2", method.sure_b2), ("b1", method.sure_b1), ("c", method.sure_c)):
            values, logits_here = guides[name].flatten().tolist(), masks[name].flatten().tolist()
            limit = high if sum(v > high for v in values) >= 30 else high * max(values)
            for value, logit in zip(values, logits_here, strict=True):
                if value < low:
                    pixels[name].append(math.log(1 + math.exp(logit)))
                elif value > limit:
                    pixels[name].append(math.log(1 + math.exp(-logit)))
    terms = {name: sum(values) / max(1, len(values)) for name, values in pixels.items()}
    return {"classification": classification / len(labels)} | terms


def i2c(method, images: Tensor, labels: list[int], centres: list[Tensor], visits: list[int]) -> dict[str, float]:
    """I2C's terms without dropout, pair by pair; moves `centres` and counts `visits` as it goes."""
    before, distances, moves = [centre.clone() for centre in centres], {"local": [], "global": []}, []
    classification = 0.0
    seeds = []
    for image, label in zip(images, labels, strict=True):
        features = method.features(image[None])[0]
        classification += cross_entropy(classify(method.head, features), label)
        own = min_max(class_map(method.head, features, label))
        strong = [(y, x) for y in range(len(own)) for x in range(len(own)) if own[y, x] > method.seed_threshold]
        seeds.append([features[:, y, x] for y, x in (strong * method.seeds)[: method.seeds]])
    for i in range(0, len(labels) - 1, 2):
        if labels[i] != labels[i + 1]:
            continue
        pairs = list(zip(seeds[i], seeds[i + 1], strict=True))
        distances["local"].append(sum(apart(f, g) for f, g in pairs) / len(pairs))
        common = sum(f + g for f, g in pairs) / (2 * len(pairs))
        distances["global"].append(apart(common, before[labels[i]]))
        moves.append((labels[i], common))
    for label, common in moves:
        rate = math.exp(-method.fading * visits[label])
        centres[label] = (1 - rate) * centres[label] + rate * common
        visits[label] += 1
    terms = {name: sum(values) / max(1, len(values)) for name, values in distances.items()}
    terms = {"local": method.local_weight * terms["local"], "global": method.global_weight * terms["global"]}
    return {"classification": classification / len(labels)} | terms


def apart(one: Tensor, other: Tensor) -> float:
    return math.sqrt(sum((a - b + 1e-6) ** 2 for a, b in zip(one.tolist(), other.tolist(), strict=True)))


def danet(method, images: Tensor, labels: list[int], trees: list[list[int]], drawn: list[int]) -> dict[str, float]:
    """DANet's terms; `trees` are the groups of each class at the three heads, `drawn` the maps that are compared."""
    heads = [method.head_orders, method.head_families, method.head_species]
    sums = {"orders": 0.0, "families": 0.0, "species": 0.0, "divergence": 0.0}
    for image, label in zip(images, labels, strict=True):
        maps, side = [], 0
        for name, boundary, head, groups in zip(sums, method.activated_at, heads, trees, strict=False):
            features = method.backbone(image[None], until=boundary)[0]
            every = [class_map(head, features, k) for k in range(len(head.classifier.bias))]
            each = len(every) // (max(groups) + 1)
            logits = [sum(m.mean() for m in every[g * each : (g + 1) * each]) / each for g in range(max(groups) + 1)]
            sums[name] += method.class_weight * cross_entropy(torch.stack(logits), groups[label])
            side = side or len(every[0])
            own = every[groups[label] * each : (groups[label] + 1) * each]
            maps += [upsampled(m.detach(), side) for m in own]
        chosen = [maps[k] for k in drawn]
        total = pairs = 0
        for i in range(len(chosen)):
            for j in range(i):
                a, b = chosen[i].flatten(), chosen[j].flatten()
                total += (sum(a * b) / math.sqrt(sum(a * a)) / math.sqrt(sum(b * b))).item()
                pairs += 1
        sums["divergence"] += method.divergence_weight * abs(total) / pairs
    return {name: value / len(labels) for name, value in sums.items()}


def danet_heatmap(method, image: Tensor, label: int, trees: list[list[int]]) -> Tensor:
    """The sum of a class's, its family's and its order's positive mean maps."""
    total = torch.zeros(1)
    heads = [method.head_orders, method.head_families, method.head_species]
    for boundary, head, groups in zip(method.activated_at, heads, trees, strict=True):
        features = method.backbone(image[None], until=boundary)[0]
        each = len(head.classifier.bias) // (max(groups) + 1)
        mean = sum(class_map(head, features, groups[label] * each + k) for k in range(each)) / each
        total = total + upsampled(mean.clamp(min=0), len(total) if len(total) > 1 else len(mean))
    return total


def non_local(block, features: Tensor) -> Tensor:
    """NL-CCAM's block on one photo's features (c, h, w), place by place, with the norm's running statistics."""
    c, h, w = features.shape

    def through(layer, vector: Tensor) -> Tensor:
        return layer.weight[:, :, 0, 0] @ vector + layer.bias

    places = [features[:, y, x] for y in range(h) for x in range(w)]
    out = []
    for place in places:
        query = through(block.query, place)
        likeness = [math.exp((query @ through(block.key, other)).item()) for other in places]
        total = sum(likeness)
        found = sum(share / total * through(block.value, other) for share, other in zip(likeness, places, strict=True))
        mixed = through(block.mix, found)
        norm = block.norm
        out.append(place + norm.weight * (mixed - norm.running_mean) / (norm.running_var + norm.eps).sqrt() + norm.bias)
    return torch.stack(out, 1).view(c, h, w)
