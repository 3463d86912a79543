// The hypervolume by evaluations, epochs and hours; of several runs with mean and band over seeds.

const BUDGETS = { evaluations: "evaluations", epochs: "epochs of training", hours: "hours" };

const hypervolumePart = {
  id: "hypervolume",
  title: "Hypervolume",
  has: (model) => model.runs.some((run) => curvePoints(run, "evaluations").length > 1),

  build(section) {
    this.controls = el("div", { class: "controls" });
    this.box = plotBox("hypervolume");
    this.note = el("p", { class: "note" });
    section.append(this.controls, this.box, this.note);
  },

  update(model) {
    const budgets = Object.keys(BUDGETS).filter((name) =>
      model.runs.some((run) => curvePoints(run, name).length > 1),
    );
    if (!budgets.includes(view.budget)) view.budget = budgets[0];
    const banded = model.groups.some((group) => group.runs.length > 1);
    const state = JSON.stringify([budgets, view.budget, view.spread, banded]);
    if (state !== this.state) {
      this.state = state;
      this.controls.replaceChildren(
        choice(
          "by",
          budgets.map((name) => [name, BUDGETS[name]]),
          view.budget,
          (value) => {
            view.budget = value;
            this.update(model);
          },
        ),
        banded
          ? tick("mean and 95 % band over seeds", view.spread, (on) => {
              view.spread = on;
              this.update(model);
            })
          : "",
      );
    }
    const groups = model.groups
      .map((group) => ({ ...group, runs: group.runs.filter((run) => model.drawn.includes(run)) }))
      .filter((group) => group.runs.length);
    const series = groups.flatMap((group) =>
      view.spread && group.runs.length > 1
        ? bandSeries(group)
        : group.runs.map((run) => runSeries(model, run)),
    );
    const named = series.filter((one) => one.name);
    draw(
      "hypervolume",
      this.box,
      {
        legend: named.length > 1 ? legend(named.map((one) => one.name)) : undefined,
        xAxis: axis(BUDGETS[view.budget], {
          scale: false,
          min: 0,
          max: "dataMax",
          ...(view.budget === "hours" ? {} : { format: whole }),
          axisLabel: { color: colours().soft, showMaxLabel: false, hideOverlap: true },
        }),
        yAxis: axis("hypervolume (share of the box)", { nameGap: 44 }),
        tooltip: { ...hint((list) => curveTip(list)), trigger: "axis", axisPointer: { type: "line" } },
        series,
      },
      sentence(model),
    );
    this.note.replaceChildren(...referenceWords(model));
  },
};

/** The progress of a run: of several runs that under their common reference, if they have one. */
function progressOf(run) {
  const together = page.document.together;
  const steps = together && together.runs[run.index] && together.runs[run.index].hypervolume;
  if (!steps) return run.run.hypervolume || {};
  const column = (name) => steps.map((step) => step[name]);
  return Object.fromEntries([...Object.keys(BUDGETS), "share"].map((name) => [name, column(name)]));
}

function curvePoints(run, budget) {
  const curve = progressOf(run);
  const [across, share] = [curve[budget], curve.share || []];
  if (!across) return [];
  return share.map((value, index) => [across[index], value]).filter((point) => point.every(known));
}

function runSeries(model, run) {
  const colour = model.several ? runColour(run.index) : colours().front;
  return {
    id: `curve ${run.index}`,
    name: seriesName(run.name),
    type: "line",
    step: "end",
    showSymbol: false,
    sampling: "lttb",
    lineStyle: {
      width: 2,
      color: colour,
      type: ["solid", "dashed", "dotted"][Math.floor(run.index / 8) % 3],
    },
    itemStyle: { color: colour },
    data: curvePoints(run, view.budget),
  };
}

/** The mean of a group's curves where all have a value, with the 95 % interval of the mean. */
function bandSeries(group) {
  const curves = group.runs.map((run) => curvePoints(run, view.budget)).filter((curve) => curve.length);
  if (curves.length < 2) return group.runs.map((run) => runSeries({ several: true }, run));
  const [from, to] = [
    Math.max(...curves.map((curve) => curve[0][0])),
    Math.min(...curves.map((curve) => curve.at(-1)[0])),
  ];
  const points = [...new Set(curves.flat().map((point) => point[0]))]
    .filter((x) => x >= from && x <= to)
    .sort((a, b) => a - b);
  const every = Math.max(1, Math.floor(points.length / 400));
  const kept = points.filter((_, index) => index % every === 0 || index === points.length - 1);
  const rows = kept.map((x) => [x, ...meanAndInterval(curves.map((curve) => stepAt(curve, x)))]);
  const colour = runColour(group.index);
  const shared = {
    type: "line",
    showSymbol: false,
    lineStyle: { width: 0 },
    silent: true,
    tooltip: { show: false },
  };
  return [
    {
      ...shared,
      id: `band low ${group.index}`,
      stack: `band ${group.index}`,
      stackStrategy: "all",
      data: rows.map(([x, mean, half]) => [x, mean - half]),
    },
    {
      ...shared,
      id: `band high ${group.index}`,
      stack: `band ${group.index}`,
      stackStrategy: "all",
      areaStyle: { color: faint(colour, 0.22) },
      data: rows.map(([x, , half]) => [x, 2 * half]),
    },
    {
      id: `mean ${group.index}`,
      name: seriesName("mean of " + group.name),
      type: "line",
      showSymbol: false,
      lineStyle: { width: 2.5, color: colour },
      itemStyle: { color: colour },
      data: rows.map(([x, mean]) => [x, mean]),
    },
  ];
}

function curveTip(list) {
  const rows = list.filter((entry) => entry.seriesName && !entry.seriesId.startsWith("band"));
  if (!rows.length) return "";
  return el(
    "div",
    { class: "tip" },
    el("b", null, `${number(rows[0].value[0], 6)} ${view.budget}`),
    el(
      "table",
      null,
      rows
        .slice(0, 12)
        .map((entry) =>
          el("tr", null, el("td", null, short(entry.seriesName, 40)), el("td", null, number(entry.value[1]))),
        ),
    ),
  );
}

function sentence(model) {
  const words = model.drawn
    .map((run) => {
      const curve = curvePoints(run, view.budget);
      return curve.length
        ? `${short(run.name)}: ${number(curve.at(-1)[1])} after ${number(curve.at(-1)[0])}`
        : "";
    })
    .filter(Boolean);
  return `Hypervolume as a share of the box, by ${BUDGETS[view.budget]}. ${words.slice(0, 8).join("; ")}.`;
}

/** The reference point in words, once if all runs have the same. */
function referenceWords(model) {
  const together = page.document.together;
  if (together) {
    const words = together.objectives.map((name, index) => `${name} ${number(together.reference[index])}`);
    return [el("span", null, `Common reference point: ${words.join(", ")}.`)];
  }
  const references = [...new Set(model.drawn.map((run) => run.run.reference_in_words).filter(Boolean))];
  const points = new Set(
    model.drawn.filter((run) => run.run.reference).map((run) => JSON.stringify(run.run.reference)),
  );
  const devices = new Set(model.drawn.map((run) => JSON.stringify(run.run.objectives)));
  return [
    references.length === 1
      ? el("span", null, "Reference point: ", untrusted(references[0], 300), ". ")
      : null,
    points.size > 1 || devices.size > 1
      ? el(
          "strong",
          null,
          "These runs have different reference points: their hypervolumes cannot be compared. ",
        )
      : null,
  ].filter(Boolean);
}
