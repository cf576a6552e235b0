// Check boxes: one photo after the other, the least sure first. The server keeps every answer before the next photo comes.

import { $, Refused, ask, coloured, insist, percent, picture, post, say, trouble } from "./common.js";
import { Stage } from "./stage.js";

const WORDS = { accepted: "✓ accepted", changed: "✓ changed", none: "∅ no object", skipped: "→ skipped" };
const AWAY = 60; // seconds; whoever takes longer was away, and the estimate leaves it out

let setup, stage, now, progress;
let trail = []; // numbers of answered photos, in the order of the answers
let at = 0; // place in the trail; behind its end is the photo that comes next
let coming = []; // numbers of the photos that come next
let rounds = null; // how many skipped photos are still to be seen again
let busy = false;
let began = 0;
const seconds = []; // that answers took
const loaded = new Map(); // number -> what is shown of it

export async function startReview(given) {
  setup = given;
  stage = new Stage($("review-canvas"), changed);
  stage.heatShown = false; // boxes are judged by the photo
  for (const button of document.querySelectorAll("#keys button"))
    button.addEventListener("click", () => { act(button.dataset.do); $("review-canvas").focus(); });
  document.addEventListener("keydown", key);
  window.addEventListener("beforeunload", (event) => { if (busy) event.preventDefault(); });
  document.addEventListener("opened", (event) => { if (event.detail === "review") { stage.draw(); $("review-canvas").focus(); } });
  $("again").addEventListener("click", seeSkipped);
  startFiles();
  startClasses();
  const review = await insist(() => ask("/api/review"));
  progress = review.progress;
  trail = review.history;
  at = trail.length;
  coming = review.next;
  showProgress();
  if (progress.left) await open(coming[0]);
  else finish();
}

/** A photo, its heatmap and what is known of it; the same again costs nothing. */
function load(number) {
  if (!loaded.has(number)) {
    const of = `/api/review/${number}`;
    loaded.set(number, Promise.all([ask(of), picture(`${of}/view`), picture(`${of}/heatmap`)])
      .then(([about, image, levels]) => ({ about, image, heat: coloured(levels, setup.colours) })));
    loaded.get(number).catch(() => loaded.delete(number));
    for (const old of [...loaded.keys()].slice(0, -12)) loaded.delete(old);
  }
  return loaded.get(number);
}

async function open(number) {
  finished(false);
  let photo;
  try {
    photo = await insist(() => load(number));
  } catch (error) {
    trouble(error.message);
    photo = { about: await insist(() => ask(`/api/review/${number}`)), image: new OffscreenCanvas(1, 1), heat: null };
  }
  now = { ...photo, number };
  restore(true);
  began = performance.now();
  for (const next of coming) load(next).catch(() => {}); // said when it is opened
}

/** The boxes as they were: those of an earlier answer, else the network's. */
function restore(answered) {
  const { about } = now, earlier = answered && about.answer && about.answer.kind !== "skipped" ? about.answer : null;
  const mine = earlier && earlier.kind !== "accepted";
  const boxes = (earlier ? earlier.boxes : about.proposed).map(({ name, box }) => ({
    name, box, person: Boolean(mine), dashed: !mine && (about.unsure || about.whole_image) }));
  stage.name = boxes[0]?.name ?? about.name;
  stage.show(now.image, now.heat, about.size, boxes);
  now.changed = false;
  showPhoto();
}

function changed() {
  now.changed = true;
  showPhoto();
}

function showPhoto() {
  const { about } = now, names = [...new Set(stage.boxes.map((one) => one.name))];
  $("review-photo").textContent = about.photo;
  $("review-class").textContent = names.join(", ") || (stage.boxes.length ? stage.name : "no box");
  $("review-score").textContent = now.changed ? ""
    : `class ${percent(about.score)} · box ${percent(about.confidence)}`;
  const flag = about.unsure ? "Unsure: it may show none of the known classes."
    : about.whole_image ? "Nothing stood out: the box is the whole photo." : "";
  $("review-flag").textContent = flag;
  $("review-flag").hidden = !flag;
  const said = now.changed ? "changed, not yet kept: Enter keeps it" : about.answer ? `you said: ${WORDS[about.answer.kind]}` : "";
  $("review-said").textContent = said;
  $("review-said").hidden = !said;
  $("accept-word").textContent = !stage.boxes.length ? "No object" : now.changed ? "Keep my boxes" : "Accept";
  $("review-canvas").setAttribute("aria-label", `${about.photo}: ${stage.boxes.map((one) =>
    `${one.name} at ${one.box.map(Math.round).join(" ")}`).join("; ") || "no box"}`);
  $("review-canvas").dataset.number = now.number;
  $("review-canvas").dataset.boxes = JSON.stringify(stage.boxes.map(({ box }) => box));
}

/** Keys that come meanwhile are for a photo that nobody has seen yet: they are not heard. */
function wait(yes) {
  busy = yes;
  $("review").setAttribute("aria-busy", yes);
}

async function answer(said) {
  if (busy || !now) return;
  wait(true);
  const took = (performance.now() - began) / 1000, { number, about } = now;
  const boxes = said === "boxes" ? stage.boxes.map(({ name, box }) => ({ name, box })) : [];
  try {
    const kept = await insist(() => post(`/api/review/${number}`, { photo: about.photo, said, boxes }));
    trouble("");
    if (took < AWAY) seconds.push(took);
    loaded.get(number)?.then((photo) => { photo.about.answer = { kind: kept.kind, boxes }; }).catch(() => {});
    trail = [...trail.filter((other) => other !== number), number];
    at = trail.length;
    ({ progress, next: coming } = kept);
    showProgress();
    flash(kept.kind, WORDS[kept.kind]);
    say(`${WORDS[kept.kind]}, ${progress.left} left`);
    if (rounds !== null) rounds--;
    if (coming.length && (progress.left || rounds > 0)) await open(coming[0]);
    else finish();
  } catch (error) {
    trouble(error.message);
  } finally {
    wait(false);
  }
}

/** To an answered photo and back again; answers stay until another one is given. */
async function walk(by) {
  if (busy) return;
  const to = at + by;
  if (to < 0) return flash("moved", "this is the first");
  if (to > trail.length || (to === trail.length && !coming.length)) return flash("moved", "this is the last");
  at = to;
  flash("moved", by < 0 ? "← back" : "forward →");
  if (to === trail.length && !progress.left) return finish();
  wait(true);
  try {
    await open(to === trail.length ? coming[0] : trail[to]);
  } catch (error) {
    trouble(error.message);
  } finally {
    wait(false);
  }
}

const doings = {
  accept: () => answer("boxes"),
  none: () => answer("none"),
  skip: () => answer("skipped"),
  back: () => walk(-1),
  forward: () => walk(1),
  class: () => openClasses(),
  redraw: () => { stage.boxes = []; stage.selected = -1; changed(); stage.draw(); flash("moved", "draw with the mouse"); },
  restore: () => { restore(false); flash("moved", "the network’s boxes"); },
  heat: () => {
    stage.heatShown = !stage.heatShown;
    stage.draw();
    document.querySelector("[data-do=heat]").setAttribute("aria-pressed", stage.heatShown);
    flash("moved", stage.heatShown ? "heatmap on" : "heatmap off");
  },
  next: () => { stage.next(); showPhoto(); },
  remove: () => stage.remove(),
};

const KEYS = { Enter: "accept", a: "accept", n: "none", s: "skip", u: "back", ArrowLeft: "back", ArrowRight: "forward", c: "class",
  r: "redraw", Escape: "restore", h: "heat", b: "next", Delete: "remove", Backspace: "remove" };
const ALWAYS = new Set(["back", "forward"]); // also where no photo is shown
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function act(doing) {
  if (!progress || ($("finished").hidden === false && !ALWAYS.has(doing))) return;
  const button = document.querySelector(`[data-do=${doing}]`);
  button?.classList.add("pressed");
  setTimeout(() => button?.classList.remove("pressed"), 180);
  doings[doing]();
}

function key(event) {
  if ($("review").hidden || $("class-dialog").open || event.isComposing) return;
  if (event.target.closest("input, select, summary, textarea, nav")) return;
  if (event.key === "Enter" && event.target.closest("button")) return; // that button's own
  const by = ARROWS[event.key];
  if (by && (event.ctrlKey || event.shiftKey) && now) {
    event.preventDefault();
    return stage.nudge(by[0] / 100, by[1] / 100, event.shiftKey);
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const doing = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!doing) return;
  event.preventDefault();
  if (!event.repeat) act(doing); // a key held down answers once
}

function flash(kind, word) {
  const pill = $("flash");
  pill.textContent = word;
  pill.className = kind;
  void pill.offsetWidth; // the animation begins anew
  pill.classList.add("shown");
}

function showProgress() {
  const { photos, left, skipped } = progress;
  $("bar").replaceChildren(...["accepted", "changed", "none", "skipped"].map((kind) => {
    const part = document.createElement("i");
    part.className = kind;
    part.style.width = `${(100 * progress[kind]) / photos}%`;
    part.title = `${progress[kind]} ${kind}`;
    return part;
  }));
  $("bar").setAttribute("aria-valuemax", photos);
  $("bar").setAttribute("aria-valuenow", photos - left);
  $("done").textContent = `${photos - left - skipped} of ${photos} checked, ${skipped ? `${skipped} skipped, ` : ""}${left} left`;
  const last = seconds.slice(-20).sort((a, b) => a - b);
  const still = last.length < 3 || !left ? 0 : left * last[last.length >> 1];
  $("estimate").textContent = !still ? "" : still < 90 ? "about a minute" : `about ${Math.round(still / 60)} minutes`;
}

function finished(yes) {
  $("finished").hidden = !yes;
  $("review-canvas").hidden = yes;
  for (const button of document.querySelectorAll("#keys button")) button.disabled = yes && button.dataset.do !== "back";
}

function finish() {
  now = null;
  rounds = null;
  stage.clear();
  finished(true);
  for (const id of ["review-photo", "review-class", "review-score"]) $(id).textContent = "";
  $("review-flag").hidden = $("review-said").hidden = true;
  $("files").open = true;
  const { accepted, changed, none, skipped } = progress;
  $("summary").textContent = `${accepted} accepted, ${changed} changed, ${none} without an object, ${skipped} skipped`;
  $("finished-title").textContent = skipped ? "That was the last photo" : "All photos are checked";
  $("again").hidden = !skipped;
  $("again").textContent = `See the ${skipped} skipped again`;
  say($("finished-title").textContent);
}

async function seeSkipped() {
  wait(true);
  try {
    rounds = progress.skipped;
    coming = (await insist(() => ask("/api/review"))).next;
    at = trail.length;
    await open(coming[0]);
    $("review-canvas").focus();
  } catch (error) {
    trouble(error.message);
  } finally {
    wait(false);
  }
}

// other class

let chosen = 0;

function startClasses() {
  $("class-input").addEventListener("input", () => { chosen = 0; listClasses(); });
  $("class-input").addEventListener("keydown", (event) => {
    const items = $("class-list").children;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      chosen = (chosen + (event.key === "ArrowDown" ? 1 : -1) + items.length) % (items.length || 1);
      listClasses();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (items[chosen]) setClass(items[chosen].textContent);
    }
  });
  $("class-dialog").addEventListener("click", (event) => { if (event.target === $("class-dialog")) $("class-dialog").close(); });
  $("class-dialog").addEventListener("close", () => $("review-canvas").focus());
}

function openClasses() {
  $("class-input").value = "";
  chosen = 0;
  listClasses();
  $("class-dialog").showModal();
  $("class-input").focus();
}

/** The network's next guesses first; then names that begin with what was typed, then those that hold it. */
function listClasses() {
  const typed = $("class-input").value.trim().toLowerCase();
  const names = [...new Set([...now.about.others, ...setup.classes])].filter((name) => name.toLowerCase().includes(typed));
  if (typed) names.sort((a, b) => b.toLowerCase().startsWith(typed) - a.toLowerCase().startsWith(typed));
  $("class-list").replaceChildren(...names.slice(0, 50).map((name, index) => {
    const item = document.createElement("li");
    Object.assign(item, { role: "option", id: `class-${index}`, textContent: name });
    item.setAttribute("aria-selected", index === chosen);
    item.addEventListener("click", () => setClass(name));
    return item;
  }));
  $("class-none").hidden = names.length > 0;
  $("class-input").setAttribute("aria-activedescendant", `class-${chosen}`);
  $("class-list").children[chosen]?.scrollIntoView({ block: "nearest" });
}

/** Of the chosen box, or of all. */
function setClass(name) {
  stage.boxes = stage.boxes.map((one, index) =>
    stage.selected < 0 || index === stage.selected ? { ...one, name, person: true } : one);
  stage.name = name;
  stage.draw();
  $("class-dialog").close();
  changed();
  flash("moved", name);
}

// files

function startFiles() {
  for (const [name, about] of Object.entries(setup.formats)) {
    const label = document.createElement("label"), box = document.createElement("input");
    Object.assign(box, { type: "checkbox", value: name, checked: setup.chosen.includes(name) });
    label.title = about;
    label.append(box, ` ${name}`);
    $("formats").append(label);
  }
  $("write").addEventListener("click", () => told("written", async () => {
    const formats = [...document.querySelectorAll("#formats :checked")].map((box) => box.value).join();
    return (await post("/api/review/write", { formats, only: $("only").checked })).said;
  }));
  $("choose").addEventListener("click", () => told("chosen", async () => {
    const choice = await post("/api/review/threshold", {});
    return `Threshold ${short(choice.old)} → ${short(choice.new)}. GTKnownLoc ${choice.gt_known_before.toFixed(1)} → `
      + `${choice.gt_known_after.toFixed(1)} %, MaxBoxAcc ${choice.max_box_acc.toFixed(1)} %, on ${choice.cases} photos with boxes, `
      + `${choice.drawn} of them changed by you (accepted boxes speak for the old threshold). The threshold is ${choice.said}.`;
  }));
}

const short = (threshold) => (threshold === "auto" ? "auto" : threshold.toFixed(3));

async function told(id, work) {
  $(id).textContent = "…";
  try {
    $(id).textContent = await work();
  } catch (error) {
    $(id).textContent = error instanceof Refused ? error.message : "The server does not answer; start wsol serve again.";
  }
}
