// The search: the best values, and forecasts against what came.

const bestPart = {
  id: "best",
  title: "Best of each objective",
  has: (model) => model.shown !== null && model.shown.front.length > 0,
  build(section) {
    this.boxes = el("div", { class: "small-plots" });
    section.append(this.boxes);
  },
  update(model) {
    const run = model.shown;
    const counted = [];
    for (let place = 0; place < run.size; place += 1)
      if (["front", "complete"].includes(kindOf(run, place).key)) counted.push(place);
    counted.sort((a, b) => run.evaluations[a] - run.evaluations[b]);
    const plots = run.objectives
      .map((name) => {
        const points = [];
        let best = Infinity;
        for (const place of counted) {
          const value = valueOf(run, name, place);
          if (known(value) && value < best) points.push([run.evaluations[place], (best = value)]);
        }
        if (points.length) points.push([Math.max(...run.evaluations.slice(-1), points.at(-1)[0]), best]);
        return { name: "best-" + name, points, objective: name };
      })
      .filter((plot) => plot.points.length > 1);
    smallPlots(this.boxes, plots, (plot) => [
      {
        xAxis: axis("number of the network", { format: whole, min: 0, max: "dataMax" }),
        yAxis: axis(labelOf(plot.objective), { format: formatOf(plot.objective), nameGap: 48 }),
        tooltip: { ...hint(), trigger: "axis" },
        series: [
          {
            id: "best",
            name: "best so far",
            type: "line",
            step: "end",
            symbolSize: 5,
            data: plot.points,
            lineStyle: { color: colours().complete, width: 2 },
            itemStyle: { color: colours().complete },
          },
        ],
      },
      `Best ${labelOf(plot.objective)} of networks that keep the bounds: ${valueText(plot.objective, plot.points[0][1])} at first, ${valueText(plot.objective, plot.points.at(-1)[1])} at last.`,
    ]);
  },
};

/** One plot for each entry; those that have no data any more are taken away. */
function smallPlots(holder, plots, optionOf) {
  const wanted = new Set(plots.map((plot) => plot.name));
  for (const child of [...holder.children])
    if (!wanted.has(child.dataset.plot)) {
      undraw(child.dataset.plot);
      child.remove();
    }
  for (const plot of plots) {
    let target = [...holder.children].find((child) => child.dataset.plot === plot.name);
    if (!target) holder.append((target = plotBox(plot.name, { class: "plot low" })));
    draw(plot.name, target, ...optionOf(plot));
  }
}

const forecastPart = {
  id: "forecasts",
  title: "Forecasts of the surrogate",
  has: (model) =>
    model.shown !== null &&
    Object.keys(model.shown.run.forecasts || {}).length > 2 &&
    forecastPairs(model.shown).some((plot) => plot.pairs.length > 2),
  build(section) {
    this.words = el("p", { class: "note" });
    this.boxes = el("div", { class: "small-plots" });
    section.append(this.words, this.boxes);
  },
  update(model) {
    const run = model.shown;
    const plots = forecastPairs(run).filter((plot) => plot.pairs.length > 2);
    for (const plot of plots) {
      plot.rank = rankCorrelation(
        plot.pairs.map((pair) => pair[0]),
        plot.pairs.map((pair) => pair[1]),
      );
      const spread = plot.pairs.filter((pair) => pair[3] > 0);
      plot.inside = spread.length
        ? spread.filter((pair) => Math.abs(pair[0] - pair[1]) <= 2 * pair[3]).length / spread.length
        : null;
    }
    this.words.textContent =
      "Each forecast was made before the network was measured or trained. " +
      plots
        .map(
          (plot) =>
            `${labelOf(plot.objective)}: rank correlation ${number(plot.rank, 2)}${known(plot.inside) ? `, ${Math.round(100 * plot.inside)} % within 2 σ (95 % would be right)` : ""}, ${plot.pairs.length} networks.`,
        )
        .join(" ");
    smallPlots(this.boxes, plots, (plot) => {
      const both = plot.pairs.flatMap((pair) => [pair[0], pair[1]]);
      const ends = [Math.min(...both), Math.max(...both)];
      const room = 0.04 * (ends[1] - ends[0] || 1);
      const range = { min: Math.max(ends[0] >= 0 ? 0 : -Infinity, ends[0] - room), max: ends[1] + room };
      const ticks = { customValues: ticksOf(range.min, range.max, false) };
      const shared = {
        ...range,
        format: formatOf(plot.objective),
        axisTick: ticks,
        axisLabel: {
          color: colours().soft,
          hideOverlap: true,
          formatter: (value) => formatOf(plot.objective)(Number(value.toPrecision(6))),
          ...ticks,
        },
      };
      return [
        {
          xAxis: axis("forecast: " + labelOf(plot.objective), shared),
          yAxis: axis("measured", { ...shared, nameGap: 48 }),
          tooltip: hint((point) =>
            point.value.length > 2
              ? el(
                  "div",
                  { class: "tip" },
                  el("b", null, nameOfNetwork(run, point.value[2])),
                  el("div", null, "forecast " + valueText(plot.objective, point.value[0], point.value[3])),
                  el("div", null, "measured " + valueText(plot.objective, point.value[1])),
                )
              : "",
          ),
          series: [
            {
              id: "equal",
              type: "line",
              silent: true,
              showSymbol: false,
              data: [
                [range.min, range.min],
                [range.max, range.max],
              ],
              lineStyle: { color: colours().soft, type: "dashed", width: 1 },
              tooltip: { show: false },
            },
            {
              id: "pairs",
              type: "scatter",
              data: plot.pairs,
              large: plot.pairs.length > MANY,
              largeThreshold: MANY,
              symbolSize: plot.pairs.length > MANY ? 3 : 6,
              itemStyle: { color: colours().complete, opacity: 0.7 },
            },
          ],
        },
        `Forecast against measured ${labelOf(plot.objective)} of ${plot.pairs.length} networks; rank correlation ${number(plot.rank, 2)}.`,
      ];
    });
    for (const plot of plots)
      onPoint(plot.name, (value) => value.length > 2 && openNetwork(page.model.shown, value[2]));
  },
};

function onPoint(name, opened) {
  const chart = page.charts[name];
  if (chart.isReady) return;
  chart.isReady = true;
  chart.on("click", (point) => point.value && opened(point.value));
}

/** Forecast mean, measured value, place and σ of each network that has both. */
function forecastPairs(run) {
  const forecasts = Object.entries(run.run.forecasts || {});
  return run.objectives.map((objective) => ({
    name: "forecast-" + objective,
    objective,
    pairs: forecasts
      .map(([evaluation, means]) => {
        const place = run.places.get(Number(evaluation));
        const [mean, deviation] = means[objective] || [];
        // The error of a short training is another quantity.
        const value = place === undefined ? null : at((run.networks.values || {})[objective], place);
        return known(mean) && known(value) ? [mean, value, place, deviation] : null;
      })
      .filter(Boolean),
  }));
}
