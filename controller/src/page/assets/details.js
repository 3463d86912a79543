// In the dialog of a network: its learning curve, its layers, and commands.

function curveData(run, place) {
  const curve = run.imports.has(place) ? null : (run.run.curves || {})[run.evaluations[place]];
  return curve && (curve.epoch || []).length > 1 ? curve : null;
}

const curveOf = (run, place) =>
  curveData(run, place)
    ? el("figure", null, plotBox("curve", { class: "plot low" }), el("figcaption", null, "Learning curve"))
    : "";

function drawCurve(run, place) {
  const curve = curveData(run, place);
  const target = document.querySelector('#network [data-plot="curve"]');
  if (!curve || !target || !document.getElementById("network").open) {
    if (curve && target)
      requestAnimationFrame(
        () => target.isConnected && document.getElementById("network").open && drawCurve(run, place),
      );
    return;
  }
  const palette = colours();
  const parts = [
    ["loss", palette.runs[1], "loss"],
    ["accuracy", palette.runs[0], "accuracy (share)"],
  ].filter(([name]) => (curve[name] || []).some(known));
  draw(
    "curve",
    target,
    {
      legend: legend(parts.map(([name]) => name)),
      xAxis: axis("epoch", { min: "dataMin", max: "dataMax", format: whole }),
      yAxis: parts.map(([, , words], index) =>
        axis(words, { position: index ? "right" : "left", splitLine: { show: index === 0 }, nameGap: 40 }),
      ),
      tooltip: { ...hint(), trigger: "axis" },
      series: parts.map(([name, colour], index) => ({
        id: name,
        name,
        type: "line",
        yAxisIndex: index,
        showSymbol: curve.epoch.length < 40,
        symbol: index ? "diamond" : "circle",
        itemStyle: { color: colour },
        lineStyle: { color: colour, type: index ? "solid" : "dashed" },
        data: curve.epoch.map((epoch, row) => [epoch, curve[name][row]]),
      })),
    },
    `Learning curve over ${curve.epoch.length} epochs; last accuracy ${number((curve.accuracy || []).at(-1))}.`,
  );
}

function layersOf(details) {
  if (!details || !(details.layers || []).length) return null;
  const rows = details.layers.map(([kind, shape, macs, parameters], index) =>
    el(
      "tr",
      null,
      el("td", null, index + 1),
      el("td", null, untrusted(kind, 60)),
      el("td", null, untrusted(shape, 40)),
      el("td", null, counted(macs)),
      el("td", null, counted(parameters)),
    ),
  );
  return el(
    "details",
    { class: "layers" },
    el(
      "summary",
      null,
      `Layers (${details.layers.length}): ${counted(details.macs)} multiply-accumulates, ${counted(details.parameters)} parameters`,
    ),
    el(
      "div",
      { class: "scroll" },
      el(
        "table",
        { class: "grid" },
        tableHead(["", "layer", "output", "MACs", "parameters"].map((word) => el("th", { scope: "col" }, word))),
        el("tbody", null, rows),
      ),
    ),
  );
}

/** An argument for a shell. */
const quoted = (text) =>
  /^[A-Za-z0-9_.\/:=@%+][A-Za-z0-9_.\/:=@%+-]*$/.test(text)
    ? text
    : "'" + String(text).replace(/'/g, "'\\''") + "'";

function commandsOf(run, place, architecture) {
  if (!architecture) return null;
  const member = run.imports.has(place) ? null : run.members.get(run.evaluations[place]);
  const model = member && member.model;
  const experiment = run.run.folder ? " --experiment " + quoted(run.run.folder + "/config.toml") : "";
  const target = (run.imports.has(place) ? "network" : run.evaluations[place]) + ".onnx";
  const lines = [
    ["measure again", `controller measure ${quoted(model || architecture)}${experiment}`],
    ["train", `controller train ${quoted(architecture)}${experiment}`],
    ["export", `controller export ${quoted(architecture)}${experiment} --to ${quoted(target)}`],
  ];
  return el(
    "section",
    null,
    el("h3", null, "Model and commands"),
    el(
      "p",
      null,
      model
        ? ["Trained model: ", el("code", null, untrusted(model, 400)), " ", copyButton(model)]
        : "No trained model is kept; `train … --export FILE` writes one.",
    ),
    lines.map(([words, line]) =>
      el(
        "div",
        { class: "command" },
        el("span", null, words),
        el("code", null, untrusted(line, 4000)),
        copyButton(line),
      ),
    ),
  );
}
