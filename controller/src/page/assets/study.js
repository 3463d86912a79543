// A search for several boards: what the front of one board is worth on another, and how alike the boards order networks.

const studyPart = {
  id: "study",
  title: "From board to board",
  has: (model) => Boolean(studyOf(model)),
  build(section) {
    this.kept = el("div", { class: "scroll" });
    this.boxes = el("div", { class: "small-plots" });
    section.append(
      el(
        "p",
        { class: "note" },
        "Hypervolume kept: that of one board's front with the values measured on another board, as a share of that of the other board's own front. ",
        "Below: networks that were measured on two boards, members of either front as diamonds, and Spearman's rank correlation.",
      ),
      this.kept,
      this.boxes,
    );
  },
  update(model) {
    const { study, runs } = studyOf(model);
    const names = study.targets.map((target) => target.name);
    const cell = (of, on) => {
      const found = study.transfers.find((one) => one.of === of && one.on === on);
      if (!found) return el("td", null, "–");
      const counts = `${found.in_common} in common, ${found.measured} measured there`;
      return el("td", null, el("b", null, number(found.kept, 3)), el("div", { class: "quiet" }, counts));
    };
    this.kept.replaceChildren(
      el(
        "table",
        { class: "grid" },
        tableHead(
          ["front of", "measured", "members", "hypervolume"].map((word) => el("th", { scope: "col" }, word)),
          names.map((name) => el("th", { scope: "col" }, "kept on ", untrusted(name, 40))),
        ),
        el(
          "tbody",
          null,
          study.targets.map((target) =>
            el(
              "tr",
              null,
              el("th", { scope: "row" }, untrusted(target.name, 40)),
              el("td", null, target.measured),
              el("td", null, target.members.length),
              el("td", null, number(target.hypervolume_share)),
              names.map((on) => cell(target.name, on)),
            ),
          ),
        ),
      ),
    );
    const plots = study.correlations
      .map((found, index) => ({ ...found, name: "study-" + index, points: bothOf(found, runs, study) }))
      .filter((plot) => plot.points.length > 1);
    smallPlots(this.boxes, plots, (plot) => studyOption(plot));
    for (const plot of plots)
      onPoint(plot.name, (value) => openNetwork(page.model.runs[value[3]], value[2]));
  },
};

/** The study of the run that is shown, with the runs of its boards. */
function studyOf(model) {
  const study = model.shown && model.shown.run.study;
  if (!study) return null;
  const mine = model.runs.filter((run) => run.run.folder === model.shown.run.folder);
  return { study, runs: new Map(mine.map((run) => [run.run.target, run])) };
}

/** Networks that two boards have measured: values on both, place and number of the run, whether a front has it. */
function bothOf({ objective, targets }, runs, study) {
  const [first, second] = targets.map((name) => runs.get(name));
  if (!first || !second) return [];
  const members = new Set(
    study.targets.filter((target) => targets.includes(target.name)).flatMap((target) => target.members),
  );
  const points = [];
  for (let place = 0; place < first.size; place += 1) {
    const number = first.evaluations[place];
    const other = first.imports.has(place) ? undefined : second.places.get(number);
    const [x, y] = [valueOf(first, objective, place), known(other) ? valueOf(second, objective, other) : null];
    if (known(x) && known(y)) points.push([x, y, place, first.index, members.has(number)]);
  }
  return points;
}

function studyOption(plot) {
  const [across, up] = plot.targets.map((name) => `${briefOf(plot.objective)} on ${short(name, 30)}`);
  const series = (id, keep, more) => ({
    id,
    type: "scatter",
    data: plot.points.filter((point) => point[4] === keep),
    encode: { x: 0, y: 1 },
    ...more,
  });
  return [
    {
      title: {
        text: `rank correlation ${number(plot.spearman, 3)} over ${plot.networks} networks`,
        left: 8,
        textStyle: { color: colours().soft, fontSize: 13, fontWeight: 400 },
      },
      grid: { left: 12, right: 18, top: 34, bottom: 10, outerBoundsMode: "same", outerBoundsContain: "all" },
      xAxis: axis(across, { format: formatOf(plot.objective) }),
      yAxis: axis(up, { format: formatOf(plot.objective), nameGap: 44 }),
      tooltip: hint((point) =>
        el(
          "div",
          { class: "tip" },
          el("b", null, nameOfNetwork(page.model.runs[point.value[3]], point.value[2])),
          plot.targets.map((name, index) =>
            el("div", null, `${short(name, 30)}: ${valueText(plot.objective, point.value[index])}`),
          ),
        ),
      ),
      series: [
        series("others", false, { symbolSize: 4, itemStyle: { color: colours().measured, opacity: 0.6 } }),
        series("members", true, { symbol: "diamond", symbolSize: 9, z: 5, itemStyle: { color: colours().front } }),
      ],
    },
    `${across} against ${up} of ${plot.points.length} networks; rank correlation ${number(plot.spearman, 3)}.`,
  ];
}
