"use strict";
// Words, numbers, elements and colours. All parts of the page share one script; this file comes first.

/** What the reader has chosen. It outlives every update of the data. */
const view = {
  run: null,
  hidden: new Set(), // names of runs
  x: null,
  y: null,
  z: "",
  colour: "",
  logX: null,
  logY: null,
  whole: false,
  bars: 1,
  hiddenKinds: new Set(),
  selected: null, // {run, key}
  budget: "evaluations",
  spread: true,
  decision: null,
  effect: null,
  zoomed: false,
  filter: "",
  sort: { column: "evaluation", down: false },
  columns: null,
};

/** For tests and for a console: the charts by name, the document, and whether all of it is drawn. */
window.page = { charts: {}, document: null, ready: false };

/** An element. Attributes: functions listen, `true` is an empty attribute, null is left out. Children that are not
 *  elements become text: nothing is ever parsed as HTML. */
function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** The head of a table, of its `th` elements. */
const tableHead = (...cells) => el("thead", null, el("tr", null, cells));

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);

/** Characters that are invisible or turn the direction of text, made visible. Text from logs and boards passes here. */
function visible(text) {
  return String(text).replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g,
    (character) => "⟨U+" + character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0") + "⟩",
  );
}

/** Text for a narrow place: one line, and not longer than `length`. */
function short(text, length = 60) {
  const raw = String(text);
  const line = visible(raw.slice(0, length + 1).replace(/\s+/g, " "));
  return raw.length > length ? line.slice(0, length - 1) + "…" : line;
}

/** Untrusted text in its own direction. */
const untrusted = (text, length) => el("bdi", null, length ? short(text, length) : visible(text));

/** A number with four significant digits. */
function number(value, digits = 4) {
  if (!known(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e15 || size < 1e-4) return value.toExponential(digits - 1);
  if (size >= 10 ** digits) return Math.round(value).toLocaleString("en-GB");
  return String(Number(value.toPrecision(digits)));
}

/** A large count with a prefix: 1.23 M. */
function counted(value) {
  if (!known(value)) return "–";
  for (const [unit, name] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (Math.abs(value) >= unit) return number(value / unit, 3) + " " + name;
  }
  return number(value, 4);
}

function withDeviation(value, deviation, format = number) {
  return known(deviation) && known(value) ? `${format(value)} ± ${number(deviation, 2)}` : format(value);
}

function duration(seconds) {
  if (!known(seconds)) return "–";
  if (seconds < 1) return number(seconds * 1000, 2) + " ms";
  if (seconds < 60) return number(seconds, 2) + " s";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  const hours = seconds / 3600;
  return hours < 48
    ? `${Math.floor(hours)} h ${Math.floor((seconds % 3600) / 60)} min`
    : number(hours / 24, 3) + " days";
}

const plural = (n, one, many = one + "s") => `${n.toLocaleString("en-GB")} ${n === 1 ? one : many}`;

const dateOf = (seconds) =>
  known(seconds)
    ? new Date(seconds * 1000)
        .toISOString()
        .replace("T", " ")
        .replace(/\.\d+Z|Z/, " UTC")
    : "–";

const OBJECTIVES = {
  error: { label: "validation error (share)", name: "error", unit: "" },
  time_ms: { label: "time per inference (ms)", name: "time", unit: "ms" },
  energy_mj: { label: "energy per inference (mJ)", name: "energy", unit: "mJ" },
  parameters: { label: "parameters", name: "parameters", unit: "" },
  macs: { label: "multiply-accumulates", name: "multiply-accumulates", unit: "" },
  activation_bytes: { label: "peak activations (B)", name: "activations", unit: "B" },
};
/** A short name for lists. */
const briefOf = (objective) =>
  OBJECTIVES[objective]
    ? OBJECTIVES[objective].name + (unitOf(objective) ? ` (${unitOf(objective)})` : "")
    : short(objective, 30);
const labelOf = (objective) => (OBJECTIVES[objective] || {}).label || short(objective, 40);
const unitOf = (objective) => (OBJECTIVES[objective] || {}).unit || "";
const isCount = (objective) =>
  objective === "parameters" || objective === "macs" || objective === "activation_bytes";
const formatOf = (objective) => (isCount(objective) ? counted : number);
const valueText = (objective, value, deviation) =>
  (withDeviation(value, deviation, formatOf(objective)) + " " + unitOf(objective))
    .trim()
    .replace(/ ([kMGT]) B$/, " $1B");

// Colours: Okabe and Ito, which colour-blind readers can tell apart; each comes with a shape besides.

const PALETTES = {
  light: {
    text: "#1d232a",
    soft: "#5a6570",
    line: "#d7dce1",
    back: "#ffffff",
    shade: "rgba(90,101,112,0.12)",
    front: "#d55e00",
    complete: "#0072b2",
    short: "#56b4e9",
    measured: "#8a949e",
    beyond: "#b07800",
    useless: "#6b5b73",
    failed: "#1d232a",
    imported: "#b8558b",
    runs: ["#0072b2", "#d55e00", "#009e73", "#b8558b", "#c98a00", "#56b4e9", "#7d7400", "#1d232a"],
    scale: ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#d2c21d"],
  },
  dark: {
    text: "#e4e8ec",
    soft: "#9aa5b0",
    line: "#39424b",
    back: "#14181c",
    shade: "rgba(154,165,176,0.16)",
    front: "#ff8a3c",
    complete: "#56b4e9",
    short: "#a9d8f5",
    measured: "#7f8a95",
    beyond: "#e6b23a",
    useless: "#a595ad",
    failed: "#e4e8ec",
    imported: "#e29cc3",
    runs: ["#56b4e9", "#ff8a3c", "#2fc79a", "#e29cc3", "#f0c542", "#8fa8ff", "#c9c36a", "#e4e8ec"],
    scale: ["#8a5fc0", "#5f86dd", "#35a8b8", "#35c795", "#9be05a", "#fde725"],
  },
};

const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = { chosen: stored("theme"), printing: false };

function themeName() {
  if (theme.printing) return "light";
  return theme.chosen === "light" || theme.chosen === "dark" ? theme.chosen : dark.matches ? "dark" : "light";
}

const colours = () => PALETTES[themeName()];
const runColour = (index) => colours().runs[index % colours().runs.length];

/** A colour with an opacity. */
function faint(colour, opacity) {
  const part = (at) => parseInt(colour.slice(at, at + 2), 16);
  return `rgba(${part(1)},${part(3)},${part(5)},${opacity})`;
}

// A page from a disk may have no storage.
function stored(name) {
  try {
    return localStorage.getItem("page." + name);
  } catch {
    return null;
  }
}

function store(name, value) {
  try {
    localStorage.setItem("page." + name, value);
  } catch {
    // The choice lasts as long as the page.
  }
}

/** A labelled list to choose from: `options` are pairs of value and words. */
function choice(label, options, value, chosen) {
  const list = el("select", { change: () => chosen(list.value) });
  for (const [key, words] of options)
    list.append(el("option", { value: key, selected: key === value }, words));
  list.value = value;
  return el("label", { class: "control" }, label, list);
}

function tick(label, value, chosen) {
  const box = el("input", { type: "checkbox", change: () => chosen(box.checked) });
  box.checked = value;
  return el("label", { class: "control" }, box, label);
}

const button = (words, pressed, attributes) =>
  el("button", { type: "button", click: pressed, ...attributes }, words);

/** Copies text; where the browser has no clipboard (plain HTTP), by a selection. */
async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea", { class: "unseen" });
    area.value = text;
    (from.closest("dialog") || document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const before = from.textContent;
  from.textContent = "copied";
  setTimeout(() => (from.textContent = before === "copied" ? "copy" : before), 1500);
}

const copyButton = (text) => {
  const self = button("copy", () => copy(typeof text === "function" ? text() : text, self), {
    class: "small",
  });
  return self;
};

function announce(text) {
  document.getElementById("announcement").textContent = text;
}
