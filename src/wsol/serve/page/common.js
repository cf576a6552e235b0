// What both parts of the page use: the server, lines for the reader, pictures.

export const $ = (id) => document.getElementById(id);

export class Refused extends Error {}

/** The server's JSON. Throws Refused with the server's line, or TypeError where there is no server. */
export async function ask(address, options) {
  const response = await fetch(address, options);
  const said = await response.json().catch(() => ({ error: `${response.status} ${response.statusText}` }));
  if (!response.ok) throw new Refused(said.error);
  return said;
}

export const post = (address, said) =>
  ask(address, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(said) });

/** The same, tried again until there is a server: an answer is not given up while the page is open. */
export async function insist(ask) {
  for (let tries = 0; ; tries++) {
    try {
      const said = await ask();
      if (tries) trouble("");
      return said;
    } catch (error) {
      if (error instanceof Refused) throw error;
      trouble("The server does not answer. Start it again, with the same command; this page waits and goes on.");
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

export function trouble(line) {
  $("trouble").textContent = line;
  $("trouble").hidden = !line;
}

/** For those who hear the page. */
export const say = (line) => ($("said").textContent = line);

export async function picture(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Refused((await response.json()).error);
  return createImageBitmap(await response.blob());
}

/** A heatmap's grey levels as a coloured layer, transparent where it is low, as in the pictures of `wsol locate`. */
export function coloured(levels, colours) {
  const canvas = new OffscreenCanvas(levels.width, levels.height);
  const pen = canvas.getContext("2d");
  pen.drawImage(levels, 0, 0);
  const pixels = pen.getImageData(0, 0, levels.width, levels.height);
  for (let i = 0; i < pixels.data.length; i += 4) {
    const level = pixels.data[i];
    [pixels.data[i], pixels.data[i + 1], pixels.data[i + 2]] = colours[level];
    pixels.data[i + 3] = 0.7 * 255 * (level / 255) ** 2;
  }
  pen.putImageData(pixels, 0, 0);
  return canvas;
}

export const percent = (share) => `${Math.round(100 * share)}\u00a0%`;
