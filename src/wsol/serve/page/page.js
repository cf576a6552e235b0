// The page: which of its two parts is shown.

import { $, ask, trouble } from "./common.js";
import { startReview } from "./review.js";
import { startTry } from "./try.js";

const parts = ["try", "review"];

function open(part) {
  for (const name of parts) {
    $(name).hidden = name !== part;
    $(`tab-${name}`).setAttribute("aria-selected", name === part);
    $(`tab-${name}`).tabIndex = name === part ? 0 : -1;
  }
  location.hash = part;
  document.dispatchEvent(new CustomEvent("opened", { detail: part }));
}

for (const name of parts) {
  $(`tab-${name}`).addEventListener("click", () => open(name));
  $(`tab-${name}`).addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = parts.find((part) => part !== name);
    if ($(`tab-${other}`).hidden) return;
    open(other);
    $(`tab-${other}`).focus();
  });
}

try {
  const setup = await ask("/api/setup");
  $("run").textContent = setup.run;
  document.title = `wsol: ${setup.run}`;
  $("tab-review").hidden = !setup.found;
  startTry(setup);
  if (setup.found) startReview(setup);
  open(setup.found && location.hash !== "#try" ? "review" : "try");
} catch (error) {
  trouble(error instanceof TypeError ? "The server does not answer; start wsol serve again, then load the page." : error.message);
}
