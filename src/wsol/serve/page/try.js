// Try a photo: its classes, heatmap and boxes; the server cuts the heatmap whenever the threshold moves.

import { $, Refused, ask, coloured, percent, picture, say, trouble } from "./common.js";
import { Stage } from "./stage.js";

let setup, stage, photo, found, image;
let labels = []; // of the classes shown
let threshold; // a number, or "auto"
let busy = 0;

export function startTry(given) {
  setup = given;
  stage = new Stage($("try-canvas"));
  threshold = setup.threshold;
  showThreshold();
  $("file").addEventListener("change", () => { drop($("file").files[0]); $("file").value = ""; });
  const shown = () => !$("try").hidden;
  document.addEventListener("dragover", (event) => { if (shown()) { event.preventDefault(); document.body.classList.add("dragged"); } });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dragged"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragged");
    if (shown()) drop(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => { if (shown() && event.clipboardData.files[0]) drop(event.clipboardData.files[0]); });
  $("threshold").addEventListener("input", () => { threshold = Number($("threshold").value); cut(); });
  $("auto").addEventListener("change", () => { threshold = $("auto").checked ? "auto" : Number($("threshold").value); cut(); });
  $("reset").addEventListener("click", () => { threshold = setup.threshold; cut(); });
  $("keep").addEventListener("change", cut);
  $("readout").addEventListener("change", look);
  $("try-heat").addEventListener("change", () => { stage.heatShown = $("try-heat").checked; stage.draw(); });
}

async function drop(file) {
  if (!file) return trouble("That is no file; drop one photo.");
  if (file.size > setup.bytes) return trouble(`${file.name}: has more than ${setup.bytes / 1e6} MB; scale it down first`);
  await working(async () => {
    const dropped = await ask(`/api/dropped?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
    image = await picture(`/api/dropped/${dropped.number}/view`);
    photo = dropped;
    $("drop").hidden = true;
    $("try-canvas").hidden = $("try-side").hidden = false;
    $("try-photo").textContent = `${photo.name}, ${photo.size[0]} × ${photo.size[1]}`;
    $("try-note").textContent = photo.note;
    $("try-note").hidden = !photo.note;
    await shown();
    await readouts();
  });
}

/** Runs some work with a sign of it, and says in one line what went wrong. */
async function working(work) {
  trouble("");
  busy++;
  $("try-busy").hidden = false;
  try {
    await work();
  } catch (error) {
    trouble(error instanceof Refused ? error.message : "The server does not answer; start wsol serve again.");
  } finally {
    $("try-busy").hidden = !--busy;
  }
}

async function readouts() {
  if ($("readout").options.length) return;
  const known = await ask("/api/readouts");
  for (const [name, about] of Object.entries(known)) {
    const option = new Option(name, name);
    option.dataset.about = about;
    $("readout").add(option);
  }
  aboutReadout();
}

function aboutReadout() {
  $("readout-about").textContent = $("readout").selectedOptions[0]?.dataset.about ?? "";
}

const look = () => working(async () => { aboutReadout(); await shown(); });

/** What the network says of the photo: it is asked once for each read-out. */
async function shown() {
  const of = photo.number, readout = $("readout").value || "as opened";
  const said = await ask(`/api/dropped/${of}?${new URLSearchParams({ readout })}`);
  if (photo.number !== of) return;
  found = said;
  const likely = found.findings.filter((finding) => finding.score >= 0.5).map((finding) => finding.label);
  const still = labels.filter((label) => found.findings.some((finding) => finding.label === label));
  labels = photo.seen && still.length ? still : setup.several && likely.length ? likely : [found.findings[0].label];
  photo.seen = true;
  $("try-unsure").hidden = !found.unsure;
  $("classes").replaceChildren(...found.findings.map((finding) => {
    const button = document.createElement("button");
    button.dataset.label = finding.label;
    button.append(finding.name, Object.assign(document.createElement("span"), { textContent: percent(finding.score) }));
    const share = document.createElement("i");
    share.style.setProperty("--share", `${100 * finding.score}%`);
    button.append(share);
    button.addEventListener("click", (event) => choose(finding.label, setup.several || event.ctrlKey || event.shiftKey));
    return button;
  }));
  await heated();
  await cut();
}

function choose(label, more) {
  const others = labels.filter((other) => other !== label);
  labels = !more ? [label] : others.length && labels.includes(label) ? others : [...others, label];
  working(async () => { await heated(); await cut(); });
}

/** The heatmap of the class that was chosen last. */
async function heated() {
  for (const button of $("classes").children) button.setAttribute("aria-pressed", labels.includes(Number(button.dataset.label)));
  const asked = new URLSearchParams({ readout: $("readout").value || "as opened", label: labels.at(-1) });
  const heat = coloured(await picture(`/api/dropped/${photo.number}/heatmap?${asked}`), setup.colours);
  stage.show(image, heat, photo.size, stage.boxes);
}

let asking = false, again = false;

/** Boxes at the threshold: one request at a time, and of what was asked meanwhile the last. */
async function cut() {
  showThreshold();
  if (!photo) return;
  if (asking) return void (again = true);
  asking = true;
  try {
    do {
      again = false;
      const of = photo.number, query = asked();
      const result = await ask(`/api/dropped/${of}/cut?${query}`);
      if (photo.number !== of) continue;
      draw(result);
      for (const link of $("downloads").children) link.href = `/api/dropped/${of}/download/${link.dataset.kind}?${query}`;
    } while (again);
  } catch (error) {
    trouble(error instanceof Refused ? error.message : "The server does not answer; start wsol serve again.");
  } finally {
    asking = false;
  }
}

function asked() {
  const keep = document.querySelector("[name=keep]:checked").value;
  return new URLSearchParams({ readout: $("readout").value || "as opened", labels: labels.join(), threshold, keep });
}

function draw(result) {
  const boxes = result.findings.flatMap((finding) => finding.boxes.map((box) => ({
    name: finding.name, box, dashed: finding.whole_image || result.unsure })));
  stage.boxes = boxes;
  stage.draw();
  const fixed = result.findings.every((finding) => finding.regressed || finding.background);
  $("threshold").disabled = $("auto").disabled = fixed;
  const said = boxes.map(({ name, box }) => `${name} at ${box.map(Math.round).join(" ")}`).join("; ") || "no box";
  $("try-canvas").setAttribute("aria-label", `${photo.name}: ${said}`);
  $("try-canvas").dataset.boxes = JSON.stringify(boxes.map(({ box }) => box));
  say(said);
}

function showThreshold() {
  $("auto").checked = threshold === "auto";
  if (threshold !== "auto") $("threshold").value = threshold;
  $("threshold-value").textContent = threshold === "auto" ? "auto" : Number(threshold).toFixed(2);
}
