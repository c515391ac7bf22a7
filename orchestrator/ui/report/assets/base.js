"use strict";
// Everything below makes elements and sets their text; no text of the run is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

const STATES = new Map([
  ["failed", { letter: "F", says: "failed" }],
  ["test failed", { letter: "T", says: "its test failed" }],
  ["blocked", { letter: "X", says: "could not be planned" }],
  ["cancelled", { letter: "C", says: "cancelled" }],
  ["skipped", { letter: "S", says: "skipped: what it needs failed" }],
  ["unfinished", { letter: "U", says: "was running when the journal ends" }],
  ["not started", { letter: "N", says: "was not started" }],
  ["built", { letter: "B", says: "built" }],
  ["reused", { letter: "R", says: "reused: stood already" }],
]);
const STEP_STATES = new Map([
  ["done", { letter: "D", says: "done" }],
  ["found", { letter: "R", says: "not needed: its results stood by then" }],
]);
const DESTINATIONS = new Map([
  ["oci", "OCI layouts on this disk"],
  ["load", "Docker on this machine"],
  ["stage", "registries, under private names"],
  ["push", "registries, with tags"],
]);

function stateOf(word) {
  return STATES.get(word) || STEP_STATES.get(word) || { letter: "?", says: word };
}

function stateClass(word) {
  return STATES.has(word) || STEP_STATES.has(word) ? `s-${word.replace(" ", "-")}` : "s-unknown";
}

function readReport() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const images = data.images.map((image) => ({
    needs: [], builds: [], tags: [], version: "", digest: "", neededBy: [], steps: [], ...image,
  }));
  const steps = data.steps.map((step) => ({
    platforms: [], node: "", start: null, end: null, ready: null, after: "", behind: "", rested: false, needs: [], critical: false, digest: "",
    attempts: [], cached: 0, instructions: 0, message: "", place: "", excerpt: [], lines: [], hints: [], warnings: [], log: null, ...step,
  }));
  const imageByName = new Map(images.map((image) => [image.name, image]));
  const stepById = new Map(steps.map((step) => [step.id, step]));
  for (const image of images) {
    image.builds = image.builds.map((build) => ({ reasons: [], mode: "", inputs: "", digest: "", size: null, ...build }));
    for (const need of image.needs) {
      imageByName.get(need)?.neededBy.push(image.name);
    }
  }
  for (const step of steps) {
    imageByName.get(step.image)?.steps.push(step);
  }
  for (const image of images) {
    image.seconds = secondsOf(image);
    image.size = image.builds.reduce((sum, build) => (build.size === null ? sum : (sum ?? 0) + build.size), null);
    image.cached = image.steps.reduce((sum, step) => sum + step.cached, 0);
    image.instructions = image.steps.reduce((sum, step) => sum + step.instructions, 0);
  }
  return { ...data, images, steps, imageByName, stepById };
}

function secondsOf(image) {
  const ran = image.steps.filter((step) => step.start !== null && (step.kind === "solve" || step.kind === "test"));
  return ran.length ? ran.reduce((sum, step) => sum + step.end - step.start, 0) : null;
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) {
      node.addEventListener(name.slice(2), value);
    } else if (value !== null && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== ""));
  return node;
}

function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function byId(id) {
  return document.getElementById(id);
}

function duration(seconds) {
  if (seconds === null) {
    return "";
  }
  if (seconds < 9.95) {
    return `${seconds.toFixed(1)}s`;
  }
  const whole = Math.round(seconds);
  const pad = (number) => String(number).padStart(2, "0");
  if (whole < 60) {
    return `${whole}s`;
  }
  return whole < 3600
    ? `${Math.floor(whole / 60)}m${pad(whole % 60)}s`
    : `${Math.floor(whole / 3600)}h${pad(Math.floor((whole % 3600) / 60))}m`;
}

function bytes(number) {
  if (number === null) {
    return "";
  }
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let left = number;
  while (left >= 1000 && unit < units.length - 1) {
    left /= 1000;
    unit += 1;
  }
  return `${unit && left < 10 ? left.toFixed(1) : Math.round(left)} ${units[unit]}`;
}

function count(number, noun) {
  return number === 1 ? `1 ${noun}` : `${number} ${noun}s`;
}

function badge(word) {
  const state = stateOf(word);
  return make("span", { class: `badge ${stateClass(word)}`, title: state.says },
    make("b", { "aria-hidden": "true" }, state.letter), make("span", {}, word));
}

function copyButton(text, what) {
  const button = make("button", { type: "button", class: "copy", "aria-label": `Copy ${what}`, onclick: copy }, "copy");
  const say = (word, says) => {
    button.textContent = word;
    button.setAttribute("aria-label", says);
  };
  async function copy() {
    if (!await toClipboard(text)) {
      const whole = make("input", { class: "by-hand", readonly: true, value: text, "aria-label": `All of ${what}` });
      button.replaceWith(whole);
      whole.select();
      return;
    }
    say("copied", `Copied ${what}`);
    setTimeout(() => say("copy", `Copy ${what}`), 1500);
  }
  return button;
}

// Only pages that browsers deem secure have a clipboard; what is left for others needs a field that is selected.
async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const before = document.activeElement;
    const field = make("textarea", { class: "unseen", readonly: true }, text);
    document.body.append(field);
    field.select();
    const isCopied = document.execCommand("copy");
    field.remove();
    before?.focus({ preventScroll: true });
    return isCopied;
  }
}

function shortDigest(digest) {
  return digest.replace(/^(sha256:[0-9a-f]{12})[0-9a-f]{52}$/, "$1…");
}

function digestLine(digest, what) {
  return make("span", { class: "digest" }, make("code", { title: digest }, shortDigest(digest)), copyButton(digest, what));
}
