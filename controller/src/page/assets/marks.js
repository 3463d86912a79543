// Networks as marks: their symbols, their hints, and the one that is selected.

function symbolMark(kind, colour) {
  const shapes = {
    circle: () => svg("circle", { cx: 7, cy: 7, r: kind.key === "measured" ? 2.5 : 4, fill: colour }),
    emptyCircle: () =>
      svg("circle", { cx: 7, cy: 7, r: 3.6, fill: "none", stroke: colour, "stroke-width": 1.8 }),
    diamond: () => svg("path", { d: "M7 1L13 7L7 13L1 7Z", fill: colour }),
    triangle: () => svg("path", { d: "M7 2L12.5 12H1.5Z", fill: colour }),
    rect: () => svg("rect", { x: 3, y: 3, width: 8, height: 8, fill: colour }),
    pin: () => svg("path", { d: "M7 13C4 9 3 7.5 3 5.5A4 4 0 0 1 11 5.5C11 7.5 10 9 7 13Z", fill: colour }),
  };
  const cross = () =>
    svg("path", { d: "M3 3L11 11M3 11L11 3", stroke: colour, "stroke-width": 1.8, fill: "none" });
  return svg(
    "svg",
    { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true" },
    (shapes[kind.symbol] || cross)(),
  );
}

const swatch = (colour) =>
  svg(
    "svg",
    { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true" },
    svg("rect", { x: 1, y: 1, width: 12, height: 12, rx: 2, fill: colour }),
  );

const nameOfNetwork = (run, place) =>
  run.imports.has(place) ? `import ${run.evaluations[place] ?? place}` : `network ${run.evaluations[place]}`;

/** What the network is, in words. */
function standing(run, place) {
  const kind = kindOf(run, place).words;
  const status = statusOf(run, place);
  return status && status !== "ok" && !kind.includes(status) ? `${kind}, ${short(status, 20)}` : kind;
}

function networkWords(run, place) {
  const values = run.quantities
    .filter((name) => known(valueOf(run, name, place)))
    .map(
      (name) =>
        `${OBJECTIVES[name]?.name || short(name)} ${valueText(name, valueOf(run, name, place), deviationOf(run, name, place))}`,
    );
  return `${nameOfNetwork(run, place)}, ${standing(run, place)}: ${values.join(", ")}`;
}

/** The hint at a network's mark. */
function networkTip(model, run, place) {
  const rows = run.quantities
    .filter((name) => known(valueOf(run, name, place)))
    .map((name) =>
      el(
        "tr",
        null,
        el("td", null, OBJECTIVES[name]?.name || short(name, 30)),
        el("td", null, valueText(name, valueOf(run, name, place), deviationOf(run, name, place))),
      ),
    );
  const message = messageOf(run, place);
  return el(
    "div",
    { class: "tip" },
    el("b", null, nameOfNetwork(run, place)),
    model.several ? el("div", null, short(run.name, 50)) : null,
    el(
      "div",
      null,
      symbolMark(kindOf(run, place), colours()[kindOf(run, place).key]),
      " ",
      standing(run, place),
    ),
    el("table", null, rows),
    message ? el("div", { class: "quiet" }, short(message, 90)) : null,
  );
}

/** The selected network, where it is still there. */
function selected(model) {
  if (!view.selected) return null;
  const run = model.runs.find((one) => one.name === view.selected.run);
  const place = run && placeOf(run, view.selected.key);
  return place === undefined || place === null || place >= run.size ? null : { run, place };
}

function select(run, place) {
  view.selected = run ? { run: run.name, key: keyOf(run, place) } : null;
  frontPart.markSelection();
  tablePart.markSelection();
}
