// A photo with its heatmap and boxes on a canvas; where it is editable, boxes are drawn, moved and resized on it.

const NETWORK = "#e69f00", PERSON = "#56b4e9"; // of the Okabe-Ito palette
const NEAR = 9; // pixels of the screen from an edge that still mean the edge
const MARGIN = 10; // pixels around the photo, so that a box at its border is seen and can be drawn
const SMALL = 4; // a shorter drag is a click

export class Stage {
  /** changed: called after a person changed the boxes. */
  constructor(canvas, changed = null) {
    this.canvas = canvas;
    this.changed = changed;
    this.clear();
    this.heatShown = true;
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
    if (changed) {
      canvas.addEventListener("pointerdown", (event) => this.#down(event));
      canvas.addEventListener("pointermove", (event) => this.#move(event));
      canvas.addEventListener("pointerup", (event) => this.#up(event));
      canvas.addEventListener("pointercancel", () => this.#cancel());
    }
  }

  clear() {
    this.image = this.heat = this.drag = null;
    this.boxes = [];
    this.selected = -1;
    this.draw();
  }

  /** boxes: {name, box: [x0, y0, x1, y1] in pixels of the photo, person, dashed}; size: [W, H] of the photo. */
  show(image, heat, size, boxes) {
    Object.assign(this, { image, heat, size, boxes, selected: -1, drag: null });
    this.draw();
  }

  /** How the photo lies on the canvas, in pixels of the screen. */
  get place() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = Math.min((width - 2 * MARGIN) / this.size[0], (height - 2 * MARGIN) / this.size[1]);
    return { scale, left: (width - scale * this.size[0]) / 2, top: (height - scale * this.size[1]) / 2 };
  }

  draw() {
    const { canvas } = this, ratio = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    if (!this.image) return;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const { scale, left, top } = this.place;
    const where = [left, top, scale * this.size[0], scale * this.size[1]];
    pen.imageSmoothingQuality = "high";
    pen.drawImage(this.image, ...where);
    if (this.heat && this.heatShown) pen.drawImage(this.heat, ...where);
    this.boxes.forEach((one, index) => this.#box(pen, one, index === this.selected));
  }

  #box(pen, { name, box, person, dashed }, selected) {
    const { scale, left, top } = this.place;
    const [x0, y0, x1, y1] = box.map((value, i) => scale * value + (i % 2 ? top : left));
    const colour = person ? PERSON : NETWORK;
    pen.setLineDash(dashed ? [9, 6] : []);
    for (const [style, width] of [["#000", 5], [colour, selected ? 4 : 3]]) {
      pen.strokeStyle = style;
      pen.lineWidth = width;
      pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
    pen.setLineDash([]);
    if (name) {
      pen.font = "600 13px system-ui, sans-serif";
      const width = pen.measureText(name).width + 12, above = y0 - top > 24 ? y0 - 22 : y0 + 4;
      pen.fillStyle = "rgb(0 0 0 / .8)";
      pen.fillRect(x0, above, width, 20);
      pen.fillStyle = "#fff";
      pen.fillText(name, x0 + 6, above + 14.5);
    }
    if (selected)
      for (const x of [x0, (x0 + x1) / 2, x1])
        for (const y of [y0, (y0 + y1) / 2, y1]) {
          if (x !== x0 && x !== x1 && y !== y0 && y !== y1) continue;
          pen.fillStyle = "#fff";
          pen.strokeStyle = "#000";
          pen.lineWidth = 1;
          pen.fillRect(x - 4, y - 4, 8, 8);
          pen.strokeRect(x - 4, y - 4, 8, 8);
        }
  }

  /** The photo's pixel under the pointer, kept within the photo. */
  #at(event) {
    const { scale, left, top } = this.place, edges = this.canvas.getBoundingClientRect();
    return [event.clientX - edges.left - left, event.clientY - edges.top - top].map((value, i) =>
      Math.min(Math.max(value / scale, 0), this.size[i]));
  }

  /** The box whose edges the pointer is near, and which of x0 y0 x1 y1 they are. */
  #edges([x, y]) {
    const near = NEAR / this.place.scale;
    const order = this.boxes.map((_, index) => index).sort((a, b) => (b === this.selected) - (a === this.selected));
    for (const index of order) {
      const [x0, y0, x1, y1] = this.boxes[index].box;
      if (x < x0 - near || x > x1 + near || y < y0 - near || y > y1 + near) continue;
      const which = [];
      if (Math.abs(x - x0) < near) which.push(0);
      else if (Math.abs(x - x1) < near) which.push(2);
      if (Math.abs(y - y0) < near) which.push(1);
      else if (Math.abs(y - y1) < near) which.push(3);
      if (which.length) return { index, which };
    }
    return null;
  }

  #inside([x, y]) {
    const area = (index) => { const [x0, y0, x1, y1] = this.boxes[index].box; return (x1 - x0) * (y1 - y0); };
    return this.boxes.map((_, index) => index).filter((index) => {
      const [x0, y0, x1, y1] = this.boxes[index].box;
      return x >= x0 && x <= x1 && y >= y0 && y <= y1;
    }).sort((a, b) => area(a) - area(b))[0] ?? -1;
  }

  #down(event) {
    if (!this.image || event.button) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const from = this.#at(event), edges = this.#edges(from);
    const before = this.boxes.map((one) => ({ ...one, box: [...one.box] }));
    if (edges) this.drag = { kind: "resize", from, before, ...edges };
    else if (this.selected >= 0 && this.#inside(from) === this.selected)
      this.drag = { kind: "move", from, before, index: this.selected };
    else this.drag = { kind: "draw", from, before, add: event.shiftKey };
  }

  #move(event) {
    if (!this.image) return;
    const at = this.#at(event);
    if (!this.drag) {
      const which = this.#edges(at)?.which ?? [];
      const inside = this.selected >= 0 && this.#inside(at) === this.selected;
      const corner = which.length === 2 && ((which[0] === 0) === (which[1] === 1) ? "nwse" : "nesw");
      this.canvas.style.cursor = corner ? `${corner}-resize`
        : which.length ? (which[0] % 2 ? "ns-resize" : "ew-resize") : inside ? "move" : "crosshair";
      return;
    }
    const { kind, from, before, index, which } = this.drag;
    const far = Math.max(...at.map((value, i) => Math.abs(value - from[i]))) * this.place.scale;
    if (far < SMALL && !this.drag.far) return;
    this.drag.far = true;
    if (kind === "draw") {
      const box = [...from.map((value, i) => Math.min(value, at[i])), ...from.map((value, i) => Math.max(value, at[i]))];
      const kept = this.drag.add || before.some((one) => one.person) ? before : [];
      const like = (before[this.selected] ?? before[before.length - 1])?.name ?? this.name;
      this.boxes = [...kept, { name: like, box, person: true }];
      this.drag.drawn = this.boxes.length - 1;
    } else {
      this.selected = index;
      const moved = [at[0] - from[0], at[1] - from[1]];
      this.#set(index, kind === "move" ? this.#shifted(before[index].box, moved)
        : this.#resized(before[index].box, which, moved), before);
    }
    this.draw();
  }

  #up(event) {
    const drag = this.drag;
    this.drag = null;
    if (!drag) return;
    if (!drag.far) this.selected = this.#inside(this.#at(event));
    else {
      if (drag.drawn !== undefined) this.selected = drag.drawn;
      this.#tidy();
      this.changed();
    }
    this.draw();
  }

  #cancel() {
    if (this.drag) this.boxes = this.drag.before;
    this.drag = null;
    this.draw();
  }

  #shifted(box, by) {
    return box.map((value, i) => {
      const low = box[i % 2], high = box[i % 2 + 2], most = this.size[i % 2];
      return value + Math.min(Math.max(by[i % 2], -low), most - high);
    });
  }

  #resized(box, which, by) {
    return box.map((value, i) =>
      which.includes(i) ? Math.min(Math.max(value + by[i % 2], 0), this.size[i % 2]) : value);
  }

  #set(index, box, before = this.boxes) {
    const [x0, y0, x1, y1] = box;
    const upright = [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
    this.boxes = before.map((one, i) => (i === index ? { ...one, box: upright, person: true, dashed: false } : one));
  }

  /** No box is smaller than a pixel. */
  #tidy() {
    for (const one of this.boxes)
      for (const i of [0, 1])
        if (one.box[i + 2] - one.box[i] < 1) {
          one.box[i] = Math.min(one.box[i], this.size[i] - 1);
          one.box[i + 2] = one.box[i] + 1;
        }
  }

  /** Keys: the next box, or one in the middle where there is none. */
  next() {
    if (!this.boxes.length) {
      const [width, height] = this.size;
      this.boxes = [{ name: this.name, box: [width / 4, height / 4, (3 * width) / 4, (3 * height) / 4], person: true }];
      this.changed();
    }
    this.selected = (this.selected + 1) % this.boxes.length;
    this.draw();
  }

  /** Keys: moves the chosen box by shares of the photo, or its lower right corner. */
  nudge(x, y, resize) {
    const one = this.boxes[this.selected];
    if (!one) return;
    const by = [x * this.size[0], y * this.size[1]];
    this.#set(this.selected, resize ? this.#resized(one.box, [2, 3], by) : this.#shifted(one.box, by));
    this.#tidy();
    this.changed();
    this.draw();
  }

  remove() {
    if (this.selected < 0) return;
    this.boxes = this.boxes.filter((_, index) => index !== this.selected).map((one) => ({ ...one, person: true }));
    this.selected = -1;
    this.changed();
    this.draw();
  }
}
