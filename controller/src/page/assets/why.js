// Why: the effects of the decisions.

const effectsPart = {
  id: "effects",
  title: "Decisions that matter",
  has: (model) => model.shown !== null && (model.shown.run.effects || []).length > 0,
  build(section) {
    this.controls = el("div", { class: "controls" });
    this.boxes = el("div", { class: "small-plots two" });
    section.append(
      el(
        "p",
        { class: "note" },
        "Main effects by the surrogate: how much a choice alone moves an objective, with its interval; below 0 is better. ",
        "Importance is the share of the variation that a decision explains alone.",
      ),
      this.controls,
      this.boxes,
    );
  },
  update(model) {
    const effects = model.shown.run.effects;
    const names = effects.map((entry) => entry.objective);
    if (!names.includes(view.effect)) view.effect = names[0];
    const state = JSON.stringify([names, view.effect]);
    if (state !== this.state) {
      this.state = state;
      this.controls.replaceChildren(
        names.length > 1
          ? choice(
              "objective",
              names.map((name) => [name, briefOf(name)]),
              view.effect,
              (value) => {
                view.effect = value;
                this.update(page.model);
              },
            )
          : "",
      );
    }
    const entry = effects.find((one) => one.objective === view.effect);
    // The most important decisions; a cell of blocks has dozens.
    const decisions = [...entry.decisions].sort((a, b) => b.importance - a.importance).slice(0, 20);
    const rows = [];
    for (const decision of decisions) {
      if (rows.length && rows.length + decision.choices.length > 30) break;
      decision.choices.forEach((one, index) =>
        rows.push({ ...one, decision: decision.name, first: index === 0 }),
      );
    }
    smallPlots(this.boxes, [{ name: "importance" }, { name: "effects" }], (plot) =>
      plot.name === "importance" ? importance(decisions) : effectsOption(entry.objective, rows),
    );
    const heights = { importance: 80 + 26 * decisions.length, effects: 90 + 22 * rows.length };
    for (const child of this.boxes.children) {
      child.style.height = heights[child.dataset.plot] + "px";
      page.charts[child.dataset.plot].resize();
    }
  },
};

const categories = (names) => ({
  type: "category",
  inverse: true,
  data: names.map((name) => short(name, 46)),
  axisLabel: { color: colours().text, interval: 0, width: 250, overflow: "truncate" },
  axisLine: { lineStyle: { color: colours().soft } },
  axisTick: { show: false },
});

function importance(decisions) {
  return [
    {
      xAxis: axis("importance (share)", { scale: false, min: 0 }),
      yAxis: categories(decisions.map((decision) => decision.name)),
      series: [
        {
          id: "importance",
          name: "importance",
          type: "bar",
          barMaxWidth: 16,
          itemStyle: { color: colours().complete },
          data: decisions.map((decision) => decision.importance),
        },
      ],
    },
    `Importance of decisions: ${decisions
      .slice(0, 6)
      .map((decision) => `${short(decision.name, 30)} ${number(decision.importance, 2)}`)
      .join(", ")}.`,
  ];
}

function effectsOption(objective, rows) {
  const palette = colours();
  return [
    {
      xAxis: axis("effect on " + labelOf(objective), { format: formatOf(objective) }),
      yAxis: categories(rows.map((row) => (row.first ? row.decision + ": " : "") + row.name)),
      tooltip: hint((point) => {
        const row = rows[point.value[1]];
        return el(
          "div",
          { class: "tip" },
          el("b", null, `${short(row.decision, 40)} = ${short(row.name, 40)}`),
          el("div", null, `${valueText(objective, row.effect)} (${number(row.low)} to ${number(row.high)})`),
        );
      }),
      series: [
        {
          id: "zero",
          type: "line",
          silent: true,
          data: [],
          markLine: {
            silent: true,
            symbol: "none",
            animation: false,
            label: { show: false },
            lineStyle: { color: palette.soft },
            data: [{ xAxis: 0 }],
          },
        },
        {
          id: "intervals",
          type: "custom",
          silent: true,
          data: rows.map((row, index) => [row.low, index, row.high]),
          encode: { x: [0, 2], y: 1 },
          tooltip: { show: false },
          renderItem: (_, api) => {
            const [low, high] = [
              api.coord([api.value(0), api.value(1)]),
              api.coord([api.value(2), api.value(1)]),
            ];
            return {
              type: "line",
              shape: { x1: low[0], y1: low[1], x2: high[0], y2: high[1] },
              style: { stroke: palette.soft, lineWidth: 2 },
            };
          },
        },
        {
          id: "effects",
          type: "scatter",
          symbolSize: 9,
          data: rows.map((row, index) => ({
            value: [row.effect, index],
            symbol: row.effect <= 0 ? "circle" : "diamond",
            itemStyle: { color: row.effect <= 0 ? palette.complete : palette.front },
          })),
        },
      ],
    },
    `Effects on ${labelOf(objective)}: ${[...rows]
      .sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect))
      .slice(0, 6)
      .map((row) => `${short(row.decision, 30)} = ${short(row.name, 30)} ${valueText(objective, row.effect)}`)
      .join("; ")}.`,
  ];
}
