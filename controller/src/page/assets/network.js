// One network: its cell, values, curve, layers and commands, in a dialog.

const fetched = new Map(); // Details from the server, by run and evaluation.

function openNetwork(run, place) {
  select(run, place);
  const dialog = document.getElementById("network");
  showNetwork(run, place);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

/** Fills the dialog again after an update, if it is open. */
function updateNetwork(model) {
  const dialog = document.getElementById("network");
  const chosen = dialog.open && selected(model);
  // Unchanged, it stays: the reader may be selecting text.
  if (chosen && stateOf(chosen.run, chosen.place) !== dialog.state) showNetwork(chosen.run, chosen.place);
}

function stateOf(run, place) {
  const evaluation = run.evaluations[place];
  const parts = ["details", "forecasts", "curves"].map((name) => (run.run[name] || {})[evaluation]);
  const values = run.quantities.map((name) => [valueOf(run, name, place), deviationOf(run, name, place)]);
  return JSON.stringify([
    themeName(),
    run.name,
    keyOf(run, place),
    standing(run, place),
    values,
    run.members.get(evaluation),
    String(messageOf(run, place)).length,
    parts,
  ]);
}

function showNetwork(run, place) {
  const dialog = document.getElementById("network");
  const top = dialog.scrollTop;
  dialog.state = stateOf(run, place);
  undraw("curve");
  const title = el(
    "h2",
    { id: "network-title", tabindex: -1, autofocus: true },
    nameOfNetwork(run, place)[0].toUpperCase() + nameOfNetwork(run, place).slice(1),
  );
  const state = el(
    "span",
    { class: "badge" },
    symbolMark(kindOf(run, place), colours()[kindOf(run, place).key]),
    " ",
    standing(run, place),
  );
  const bar = el(
    "div",
    { class: "bar" },
    title,
    state,
    el("span", { class: "spring" }),
    stepButton(run, place, -1, "‹ previous"),
    stepButton(run, place, 1, "next ›"),
    button("close", () => dialog.close(), { class: "small", "aria-label": "Close (Escape)" }),
  );
  const architecture = architectureOf(run, place);
  const details = detailsOf(run, place, () => {
    const chosen = selected(page.model);
    if (
      dialog.open &&
      chosen &&
      chosen.run.name === run.name &&
      keyOf(chosen.run, chosen.place) === keyOf(run, place)
    )
      showNetwork(chosen.run, chosen.place);
  });
  dialog.replaceChildren(
    bar,
    page.model.several ? el("p", { class: "quiet" }, "of ", untrusted(run.name, 120)) : "",
    el(
      "p",
      { class: "code-line" },
      el("code", null, untrusted(architecture, 4000)),
      architecture ? copyButton(architecture) : null,
    ),
    el("div", { class: "halves" }, valuesOf(run, place, details), measuredOf(run, place, details)),
    messagesOf(run, place, details),
    ...cellDrawings(run, place),
    curveOf(run, place),
    layersOf(details),
    commandsOf(run, place, architecture),
  );
  drawCurve(run, place);
  dialog.scrollTop = top;
}

/** To the neighbour on the front, or among all networks. */
function stepButton(run, place, step, words) {
  const onFront = run.members.has(run.evaluations[place]) && run.front.length > 1;
  return button(
    words,
    () => {
      if (!onFront) {
        openNetwork(run, (place + step + run.size) % run.size);
        return;
      }
      const list = run.front
        .map((member) => run.places.get(member.evaluation))
        .filter((one) => one !== undefined)
        .sort((a, b) => valueOf(run, view.x, a) - valueOf(run, view.x, b));
      openNetwork(run, list[(list.indexOf(place) + step + list.length) % list.length]);
    },
    { class: "small", title: onFront ? "along the front" : "by number" },
  );
}

function detailsOf(run, place, arrived) {
  if (run.imports.has(place)) return null;
  const evaluation = run.evaluations[place];
  const present = (run.run.details || {})[evaluation];
  const key = `${run.name} ${evaluation}`;
  if (present || fetched.has(key) || !page.model.document.live) return present || fetched.get(key) || null;
  fetched.set(key, null);
  fetch(`network/${run.index}/${evaluation}.json`, { cache: "no-store" })
    .then((answer) => (answer.ok ? answer.json() : null))
    .then((details) => {
      if (!details) return fetched.delete(key);
      fetched.set(key, details);
      arrived();
    })
    .catch(() => fetched.delete(key)); // The next opening tries again.
  return null;
}

function rowsTable(caption, rows, head) {
  const list = rows.filter(Boolean);
  if (!list.length) return null;
  return el(
    "table",
    { class: "plain" },
    el("caption", null, caption),
    head ? tableHead(head.map((cell) => el("th", { scope: "col" }, cell))) : null,
    el(
      "tbody",
      null,
      list.map(([first, ...others]) =>
        el(
          "tr",
          null,
          el("th", { scope: "row" }, first),
          others.map((cell) => el("td", null, cell)),
        ),
      ),
    ),
  );
}

function valuesOf(run, place, details) {
  const forecast = (run.run.forecasts || {})[run.evaluations[place]] || {};
  const withForecast = Object.keys(forecast).length > 0 && !run.imports.has(place);
  const rows = run.quantities.map((name) => {
    let value = valueOf(run, name, place);
    if (!known(value) && details) value = details[name];
    if (!known(value) && !withForecast) return null;
    const mean = forecast[name];
    return [
      labelOf(name),
      valueText(name, value, deviationOf(run, name, place)),
      ...(withForecast ? [mean ? valueText(name, mean[0], mean[1]) : "–"] : []),
    ];
  });
  for (const name of ["parameters", "macs", "activation_bytes"]) {
    if (details && known(details[name]) && !run.quantities.includes(name))
      rows.push([labelOf(name), valueText(name, details[name]), ...(withForecast ? ["–"] : [])]);
  }
  return rowsTable("Values", rows, withForecast ? ["", "measured", "forecast ± σ"] : null);
}

function measuredOf(run, place, details) {
  const column = (name) => at(run.networks[name], place);
  const row = (words, value, format = number) => (known(value) ? [words, format(value)] : null);
  const member = run.imports.has(place) ? null : run.members.get(run.evaluations[place]);
  const [time, energy] = [valueOf(run, "time_ms", place), valueOf(run, "energy_mj", place)];
  const rows = [
    row("accuracy", column("accuracy")),
    row("accuracy after the short training", column("short_accuracy")),
    row("epochs", column("epochs"), (value) => number(value)),
    row("time (ms), median", column("time_ms_p50")),
    row("time (ms), 95th percentile", column("time_ms_p95")),
    row("time (ms), 99th percentile", column("time_ms_p99")),
    known(time) &&
    known(energy) &&
    time > 0 &&
    !((details && details.measured) || []).some(([name]) => name.startsWith("power"))
      ? ["mean power (mW), energy / time", number((1000 * energy) / time)]
      : null,
    row("idle power (mW)", column("idle_power_mw")),
    row("power readings", column("power_samples"), counted),
    member && member.measurements > 1 ? ["measurements", number(member.measurements)] : null,
    row("training took", column("train_seconds"), duration),
    row("measuring took", column("measure_seconds"), duration),
    row("begun", column("started_at"), dateOf),
    known(deviceOf(run, place)) ? ["device", untrusted(deviceOf(run, place), 400)] : null,
    ...((details && details.measured) || []).map(([name, text]) => [short(name, 60), untrusted(text, 400)]),
  ];
  const table = rowsTable("Measured", rows);
  const strip = latencyStrip(
    column("time_ms_p50"),
    column("time_ms_p95"),
    column("time_ms_p99"),
    time,
    deviationOf(run, "time_ms", place),
  );
  return table || strip ? el("div", null, table, strip) : null;
}

/** The distribution of the time as marks on a line: mean ± σ, p50, p95, p99. */
function latencyStrip(p50, p95, p99, mean, deviation) {
  const marks = [
    ["p50", p50],
    ["p95", p95],
    ["p99", p99],
  ].filter(([, value]) => known(value));
  if (marks.length < 2) return null;
  const low = Math.min(...marks.map(([, value]) => value), known(mean) ? mean - (deviation || 0) : Infinity);
  const high = Math.max(
    ...marks.map(([, value]) => value),
    known(mean) ? mean + (deviation || 0) : -Infinity,
  );
  const x = (value) => 20 + (300 * (value - low)) / (high - low || 1);
  const words = `Time per inference: ${marks.map(([name, value]) => `${name} ${number(value)} ms`).join(", ")}`;
  // Labels that would touch stand on two heights.
  let [last, level] = [-99, 0];
  return svg(
    "svg",
    { class: "strip", viewBox: "0 -10 340 72", width: 340, height: 72, role: "img", "aria-label": words },
    svg("path", { d: "M10 34H330", class: "edge dead" }),
    known(mean) && known(deviation)
      ? svg("rect", {
          x: x(mean - deviation),
          y: 29,
          width: Math.max(2, x(mean + deviation) - x(mean - deviation)),
          height: 10,
          class: "band",
        })
      : null,
    known(mean) ? svg("path", { d: `M${x(mean)} 26V42`, class: "edge live" }) : null,
    known(mean) ? svg("text", { x: x(mean), y: 54, "text-anchor": "middle" }, "mean ± σ") : null,
    marks.map(([name, value]) => {
      level = x(value) - last < 34 ? 1 - level : 0;
      last = x(value);
      return [
        svg("circle", { cx: x(value), cy: 34, r: 4, class: "dot" }),
        svg("text", { x: x(value), y: level ? 7 : 20, "text-anchor": "middle" }, name),
      ];
    }),
  );
}

function messagesOf(run, place, details) {
  const evaluation = run.evaluations[place];
  const member = run.imports.has(place) ? null : run.members.get(evaluation);
  const notes = [];
  if (member && (member.within_noise_of || []).length) {
    notes.push(
      el(
        "p",
        null,
        "Within noise of: ",
        member.within_noise_of.slice(0, 40).map((number, index) => {
          const other = run.places.get(number);
          return [
            index ? ", " : "",
            other === undefined
              ? String(number)
              : button(String(number), () => openNetwork(run, other), { class: "link" }),
          ];
        }),
        ". Repeated measurements would tell which is better.",
      ),
    );
  }
  if (!run.imports.has(place) && (run.run.within_noise_of_front || []).includes(evaluation))
    notes.push(el("p", null, "Within noise of the front."));
  const warnings = (details && details.warnings) || [];
  // The message of a measurement is its warnings in one line.
  let message = messageOf(run, place) || "";
  const joined = warnings.join("; ");
  if (joined && message.endsWith(joined)) message = message.slice(0, -joined.length).replace(/; $/, "");
  const texts = [message, ...warnings].filter((text) => known(text) && text !== "");
  return el(
    "div",
    null,
    notes,
    texts.map((text) => el("pre", { class: "message" }, untrusted(text))),
  );
}
