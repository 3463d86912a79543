// The policy over time, and where time and energy went.

const policyPart = {
  id: "policy",
  title: "Policy",
  has: (model) => model.shown !== null && (model.shown.run.policy || []).length > 1,
  build(section) {
    this.controls = el("div", { class: "controls" });
    this.boxes = el("div", { class: "small-plots" });
    section.append(this.controls, this.boxes);
  },
  update(model) {
    const steps = model.shown.run.policy;
    const scalars = [...new Set(steps.flatMap((step) => Object.keys(step.scalars || {})))].slice(0, 12);
    const decisions = [...new Set(steps.flatMap((step) => Object.keys(step.choices || {})))];
    if (!decisions.includes(view.decision)) view.decision = decisions[0] || null;
    const state = JSON.stringify([decisions, view.decision]);
    if (state !== this.state) {
      this.state = state;
      this.controls.replaceChildren(
        decisions.length
          ? choice(
              "shares of",
              decisions.map((name) => [name, short(name)]),
              view.decision,
              (value) => {
                view.decision = value;
                this.update(page.model);
              },
            )
          : "",
      );
    }
    const plots = scalars.map((scalar) => ({ name: "policy-" + scalar, scalar }));
    if (view.decision !== null) plots.push({ name: "policy-choices" });
    const across = axis("evaluations", { format: whole, min: "dataMin", max: "dataMax" });
    smallPlots(this.boxes, plots, (plot) => {
      if (plot.scalar !== undefined) {
        const data = steps
          .map((step) => [step.evaluations, (step.scalars || {})[plot.scalar]])
          .filter((point) => known(point[1]));
        return [
          {
            xAxis: across,
            yAxis: axis(short(plot.scalar, 30), { nameGap: 48 }),
            tooltip: { ...hint(), trigger: "axis" },
            series: [
              {
                id: "scalar",
                name: seriesName(plot.scalar),
                type: "line",
                showSymbol: false,
                data,
                lineStyle: { color: colours().complete, width: 2 },
                itemStyle: { color: colours().complete },
              },
            ],
          },
          `${short(plot.scalar)} of the policy: ${number(data[0]?.[1])} at first, ${number(data.at(-1)?.[1])} at last.`,
        ];
      }
      const sharesOf = (step) => (step.choices || {})[view.decision] || {};
      // A round may propose nothing.
      const rounds = steps.filter((step) => Object.keys(sharesOf(step)).length > 0);
      const last = rounds.length ? sharesOf(rounds.at(-1)) : {};
      const names = [...new Set(rounds.flatMap((round) => Object.keys(sharesOf(round))))];
      return [
        {
          legend: legend(names.map((name) => seriesName(name))),
          xAxis: across,
          yAxis: axis("share", { min: 0, max: 1, nameGap: 40 }),
          tooltip: { ...hint(), trigger: "axis" },
          series: names.map((name, index) => ({
            id: "choice " + index,
            name: seriesName(name),
            type: "line",
            stack: "share",
            showSymbol: false,
            lineStyle: { width: 1, color: runColour(index) },
            areaStyle: { color: runColour(index), opacity: 0.55 },
            itemStyle: { color: runColour(index) },
            data: rounds.map((round) => [round.evaluations, sharesOf(round)[name] || 0]),
          })),
        },
        `Shares of the choices of ${short(view.decision)}; at last: ${names.map((name) => `${short(name, 30)} ${number(last[name], 2)}`).join(", ")}.`,
      ];
    });
  },
};

const costPart = {
  id: "cost",
  title: "Time and energy of the search",
  has: (model) => model.drawn.some((run) => costOf(run) !== null),
  build(section) {
    this.box = plotBox("cost", { class: "plot bar-plot" });
    this.note = el("p", { class: "note" });
    section.append(this.box, this.note);
  },
  update(model) {
    const rows = model.drawn
      .map((run) => ({ run, cost: costOf(run) }))
      .filter((row) => row.cost)
      .reverse();
    const parts = [
      ["training", 1],
      ["measuring", 0],
      ["own", 2],
    ].filter(([name]) => rows.some((row) => row.cost[name] > 0));
    const longest = Math.max(
      ...rows.map((row) => parts.reduce((sum, [name]) => sum + (row.cost[name] || 0), 0)),
    );
    const [unit, size] = longest > 7200 ? ["hours", 3600] : longest > 300 ? ["minutes", 60] : ["seconds", 1];
    this.box.style.height = 90 + 30 * rows.length + "px";
    const words = (name) => (name === "own" ? "the search itself" : name);
    draw(
      "cost",
      this.box,
      {
        legend: legend(parts.map(([name]) => words(name))),
        xAxis: axis(unit, { scale: false }),
        yAxis: {
          type: "category",
          data: rows.map((row) => short(row.run.name, 24)),
          axisLabel: { color: colours().text, show: rows.length > 1 },
          axisLine: { lineStyle: { color: colours().soft } },
        },
        series: parts.map(([name, colour]) => ({
          id: name,
          name: words(name),
          type: "bar",
          stack: "time",
          barMaxWidth: 24,
          itemStyle: { color: runColour(colour) },
          data: rows.map((row) => (row.cost[name] || 0) / size),
        })),
      },
      "Time by activity. " +
        rows
          .map(
            (row) =>
              `${short(row.run.name)}: ${parts.map(([name]) => `${words(name)} ${duration(row.cost[name] || 0)}`).join(", ")}`,
          )
          .join("; ") +
        ".",
    );
    this.note.textContent = rows
      .map(({ run, cost }) =>
        [
          model.several ? short(run.name, 40) + ":" : "",
          parts.map(([name]) => `${words(name)} ${duration(cost[name] || 0)}`).join(", ") + ".",
          known(cost.whole) ? `Whole time ${duration(cost.whole)}; steps side by side count each.` : "",
          cost.recorded
            ? `The meters recorded ${energyText(cost.recorded.kwh)} in ${duration(cost.recorded.seconds)} of ${plural(cost.recorded.measurements, "measurement")}, idle power before and after the load included; training and the time between measurements are not metered.`
            : "",
          known(cost.energy) ? `Energy of the timed inferences alone: ${energyText(cost.energy)}.` : "",
        ]
          .filter(Boolean)
          .join(" "),
      )
      .reverse()
      .join(" ");
  },
};

/** An energy in kWh, or in joules where that would be a small fraction. */
const energyText = (kwh) => (kwh >= 1e-3 ? `${number(kwh, 3)} kWh` : `${number(3.6e6 * kwh, 3)} J`);

/** Seconds by activity: as the search recorded them, or from the journal's columns. */
function costOf(run) {
  const watch = run.run.watch || {};
  const sum = (column) => (column || []).reduce((total, value) => total + (value || 0), 0);
  const seconds = watch.seconds || {};
  const cost = {
    training: seconds.training ?? sum(run.networks.train_seconds),
    measuring: seconds.measuring ?? sum(run.networks.measure_seconds),
    own: seconds.own,
    whole: seconds.whole,
    energy: watch.inference_energy_kwh,
    recorded: watch.recorded_energy,
  };
  return cost.training > 0 || cost.measuring > 0 || cost.recorded ? cost : null;
}
