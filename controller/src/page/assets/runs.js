// Several runs: which are drawn, the attainment surface, and the settings that differ.

const runsPart = {
  id: "runs",
  title: "Runs",
  has: (model) => model.several,
  build(section) {
    this.body = el("div", { class: "scroll" });
    section.append(this.body);
  },
  update(model) {
    const objectives = [...new Set(model.runs.flatMap((run) => run.objectives))];
    const rows = model.runs.map((run) => {
      const box = el("input", {
        type: "checkbox",
        "aria-label": `Draw ${short(run.name)}`,
        change: () => {
          if (box.checked) view.hidden.delete(run.name);
          else view.hidden.add(run.name);
          refresh();
        },
      });
      box.checked = !view.hidden.has(run.name);
      const radio = el("input", {
        type: "radio",
        name: "shown",
        "aria-label": `Show the details of ${short(run.name)}`,
        change: () => {
          view.run = run.name;
          refresh();
        },
      });
      radio.checked = run === model.shown;
      const best = (name) => run.front.map((member) => member.objectives[name]).filter(known);
      return el(
        "tr",
        null,
        el("td", null, box),
        el("td", null, radio),
        el("th", { scope: "row" }, swatch(runColour(run.index)), " ", untrusted(run.name, 60)),
        el("td", null, short(run.run.state || "", 20)),
        el("td", null, number(run.run.evaluations)),
        el("td", null, run.front.length),
        el("td", null, number(run.run.hypervolume_share)),
        objectives.map((name) =>
          el("td", null, best(name).length ? valueText(name, Math.min(...best(name))) : "–"),
        ),
      );
    });
    const head = [
      "drawn",
      "details",
      "run",
      "state",
      "evaluations",
      "front",
      "hypervolume",
      ...objectives.map((name) => "best " + (OBJECTIVES[name]?.name || short(name, 20))),
    ];
    this.body.replaceChildren(
      el(
        "table",
        { class: "grid" },
        tableHead(head.map((word) => el("th", { scope: "col" }, word))),
        el("tbody", null, rows),
      ),
    );
  },
};

const attainmentPart = {
  id: "attainment",
  title: "Attainment surface",
  has: (model) => attainments(model).length > 0,
  build(section) {
    this.box = plotBox("attainment");
    section.append(
      el(
        "p",
        { class: "note" },
        "The solid line is the median attainment surface: at least half of a group's runs reach it. One run reaches the dotted line, all runs reach the dashed line.",
      ),
      this.box,
    );
  },
  update(model) {
    const groups = attainments(model);
    const series = groups.flatMap(({ group, levels }) => {
      const colour = runColour(model.groups.length > 1 ? group.index : 0);
      const line = (id, data, style, name) => ({
        id: `${id} ${group.index}`,
        name,
        type: "line",
        step: "end",
        showSymbol: false,
        data,
        lineStyle: { color: colour, ...style },
        itemStyle: { color: colour },
        silent: !name,
        tooltip: { show: Boolean(name) },
      });
      return [
        line("first", levels.first, { width: 1, type: "dotted" }),
        line("last", levels.last, { width: 1, type: "dashed" }),
        line("median", levels.median, { width: 2.5 }, seriesName("median of " + group.name)),
      ];
    });
    draw(
      "attainment",
      this.box,
      {
        legend: legend(series.map((one) => one.name).filter(Boolean)),
        xAxis: axis(labelOf(view.x), { format: formatOf(view.x) }),
        yAxis: axis(labelOf(view.y), { format: formatOf(view.y), nameGap: 44 }),
        series,
      },
      `Median attainment of ${groups.map(({ group }) => short(group.name)).join("; ")}: ${labelOf(view.y)} against ${labelOf(view.x)}.`,
    );
  },
};

/** The surfaces of each group of two runs or more, in the two objectives of the front plot. */
function attainments(model) {
  if (!model.several || !view.x || !view.y || view.x === view.y) return [];
  return model.groups
    .map((group) => {
      const fronts = group.runs
        .filter((run) => model.drawn.includes(run))
        .map((run) =>
          staircase(
            run.front
              .map((member) => [member.objectives[view.x], member.objectives[view.y]])
              .filter((point) => point.every(known)),
          ),
        )
        .filter((front) => front.length);
      if (fronts.length < 2) return null;
      const across = [...new Set(fronts.flat().map((point) => point[0]))].sort((a, b) => a - b);
      const level = (count) => {
        const points = [];
        for (const x of across) {
          const reached = fronts.map((front) => stepAt(front, x) ?? Infinity).sort((a, b) => a - b)[
            count - 1
          ];
          if (Number.isFinite(reached) && (!points.length || reached < points.at(-1)[1]))
            points.push([x, reached]);
        }
        if (points.length) points.push([across.at(-1), points.at(-1)[1]]);
        return points;
      };
      return {
        group,
        levels: { first: level(1), median: level(Math.ceil(fronts.length / 2)), last: level(fronts.length) },
      };
    })
    .filter(Boolean);
}

const settingsPart = {
  id: "settings",
  title: "Settings that differ",
  has: (model) => model.several && differences(model.runs).length > 0,
  build(section) {
    this.body = el("div", { class: "scroll" });
    section.append(this.body);
  },
  update(model) {
    const rows = differences(model.runs).map(({ key, values }) =>
      el(
        "tr",
        null,
        el("th", { scope: "row" }, untrusted(key, 80)),
        values.map((value) => el("td", null, known(value) ? untrusted(value, 120) : "–")),
      ),
    );
    this.body.replaceChildren(
      el(
        "table",
        { class: "grid" },
        tableHead(el("th", { scope: "col" }, "setting"), model.runs.map((run) => el("th", { scope: "col" }, untrusted(run.name, 40)))),
        el("tbody", null, rows),
      ),
    );
  },
};
