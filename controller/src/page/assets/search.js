// The search: what is under way, the best values, forecasts, the policy, and where time and energy went.

const watchPart = {
  id: "watch",
  title: "Under way",
  has: (model) => model.runs.some((run) => run.run.watch && run.run.state === "running"),
  build(section) {
    this.body = el("div", null);
    section.append(this.body);
  },
  update(model) {
    this.body.replaceChildren(...model.runs.filter((run) => run.run.watch && run.run.state === "running").map((run) => watchOf(model, run)));
  },
};

function watchOf(model, run) {
  const watch = run.run.watch;
  const [done, all] = [watch.done, watch.all];
  const words = `${number(done)}${known(all) ? " of " + number(all) : ""} ${short(watch.unit || "evaluations", 30)}`;
  const eta = known(watch.eta_seconds) ? `about ${duration(watch.eta_seconds)} left` : "";
  const bar = known(all) && all > 0 ? el("progress", { max: all, value: Math.min(done, all), "aria-label": words }) : null;
  const jobs = (watch.jobs || []).map((job) => el("tr", null,
    el("td", null, known(job.evaluation) ? job.evaluation : "–"), el("td", null, untrusted(job.stage || "", 30)),
    el("td", null, known(job.epoch) ? `epoch ${job.epoch}${known(job.epochs) ? " of " + job.epochs : ""}` : ""),
    el("td", null, known(job.seconds) ? duration(job.seconds) : ""), el("td", null, untrusted(job.text || "", 160))));
  const workers = (watch.workers || []).map((worker) => el("tr", null,
    el("td", null, untrusted(worker.name || "", 60)), el("td", null, untrusted(worker.state || "", 30)),
    el("td", null, known(worker.jobs) ? plural(worker.jobs, "job") : ""), el("td", null, untrusted(worker.text || "", 200))));
  const table = (caption, head, rows) => (rows.length ? el("div", { class: "scroll" }, el("table", { class: "grid" }, el("caption", null, caption),
    el("thead", null, el("tr", null, head.map((word) => el("th", { scope: "col" }, word)))), el("tbody", null, rows))) : null);
  return el("div", { class: "watch" },
    el("p", null, model.several ? [el("b", null, untrusted(run.name, 80)), ": "] : null, words, eta ? `, ${eta}` : "", known(watch.at) ? el("span", { class: "quiet" }, ` (state of ${dateOf(watch.at)})`) : null), bar,
    el("div", { class: "halves" }, table("Steps under way", ["network", "step", "epoch", "since", ""], jobs), table("Devices and workers", ["name", "state", "jobs", ""], workers)));
}

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
    for (let place = 0; place < run.size; place += 1) if (["front", "complete"].includes(kindOf(run, place).key)) counted.push(place);
    counted.sort((a, b) => run.evaluations[a] - run.evaluations[b]);
    const plots = run.objectives.map((name) => {
      const points = [];
      let best = Infinity;
      for (const place of counted) {
        const value = valueOf(run, name, place);
        if (known(value) && value < best) points.push([run.evaluations[place], (best = value)]);
      }
      if (points.length) points.push([Math.max(...run.evaluations.slice(-1), points.at(-1)[0]), best]);
      return { name: "best-" + name, points, objective: name };
    }).filter((plot) => plot.points.length > 1);
    smallPlots(this.boxes, plots, (plot) => [{
      xAxis: axis("number of the network", { format: whole, min: 0, max: "dataMax" }), yAxis: axis(labelOf(plot.objective), { format: formatOf(plot.objective), nameGap: 48 }),
      tooltip: { ...hint(), trigger: "axis" },
      series: [{ id: "best", name: "best so far", type: "line", step: "end", symbolSize: 5, data: plot.points, lineStyle: { color: colours().complete, width: 2 }, itemStyle: { color: colours().complete } }],
    }, `Best ${labelOf(plot.objective)} of networks that keep the bounds: ${valueText(plot.objective, plot.points[0][1])} at first, ${valueText(plot.objective, plot.points.at(-1)[1])} at last.`]);
  },
};

/** One plot for each entry; those that have no data any more are taken away. */
function smallPlots(holder, plots, optionOf) {
  const wanted = new Set(plots.map((plot) => plot.name));
  for (const child of [...holder.children]) if (!wanted.has(child.dataset.plot)) {
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
  has: (model) => model.shown !== null && Object.keys(model.shown.run.forecasts || {}).length > 2 && forecastPairs(model.shown).some((plot) => plot.pairs.length > 2),
  build(section) {
    this.words = el("p", { class: "note" });
    this.boxes = el("div", { class: "small-plots" });
    section.append(this.words, this.boxes);
  },
  update(model) {
    const run = model.shown;
    const plots = forecastPairs(run).filter((plot) => plot.pairs.length > 2);
    for (const plot of plots) {
      plot.rank = rankCorrelation(plot.pairs.map((pair) => pair[0]), plot.pairs.map((pair) => pair[1]));
      const spread = plot.pairs.filter((pair) => pair[3] > 0);
      plot.inside = spread.length ? spread.filter((pair) => Math.abs(pair[0] - pair[1]) <= 2 * pair[3]).length / spread.length : null;
    }
    this.words.textContent = "Each forecast was made before the network was measured or trained. " + plots.map((plot) =>
      `${labelOf(plot.objective)}: rank correlation ${number(plot.rank, 2)}${known(plot.inside) ? `, ${Math.round(100 * plot.inside)} % within 2 σ (95 % would be right)` : ""}, ${plot.pairs.length} networks.`).join(" ");
    smallPlots(this.boxes, plots, (plot) => {
      const both = plot.pairs.flatMap((pair) => [pair[0], pair[1]]);
      const ends = [Math.min(...both), Math.max(...both)];
      const room = 0.04 * (ends[1] - ends[0] || 1);
      const range = { min: Math.max(ends[0] >= 0 ? 0 : -Infinity, ends[0] - room), max: ends[1] + room };
      const ticks = { customValues: ticksOf(range.min, range.max, false) };
      const shared = { ...range, format: formatOf(plot.objective), axisTick: ticks, axisLabel: { color: colours().soft, hideOverlap: true, formatter: (value) => formatOf(plot.objective)(Number(value.toPrecision(6))), ...ticks } };
      return [{
        xAxis: axis("forecast: " + labelOf(plot.objective), shared), yAxis: axis("measured", { ...shared, nameGap: 48 }),
        tooltip: hint((point) => (point.value.length > 2 ? el("div", { class: "tip" }, el("b", null, nameOfNetwork(run, point.value[2])),
          el("div", null, "forecast " + valueText(plot.objective, point.value[0], point.value[3])), el("div", null, "measured " + valueText(plot.objective, point.value[1]))) : "")),
        series: [
          { id: "equal", type: "line", silent: true, showSymbol: false, data: [[range.min, range.min], [range.max, range.max]], lineStyle: { color: colours().soft, type: "dashed", width: 1 }, tooltip: { show: false } },
          { id: "pairs", type: "scatter", data: plot.pairs, large: plot.pairs.length > MANY, largeThreshold: MANY, symbolSize: plot.pairs.length > MANY ? 3 : 6, itemStyle: { color: colours().complete, opacity: 0.7 } },
        ],
      }, `Forecast against measured ${labelOf(plot.objective)} of ${plot.pairs.length} networks; rank correlation ${number(plot.rank, 2)}.`];
    });
    for (const plot of plots) onPoint(plot.name, (value) => value.length > 2 && openNetwork(page.model.shown, value[2]));
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
    name: "forecast-" + objective, objective,
    pairs: forecasts.map(([evaluation, means]) => {
      const place = run.places.get(Number(evaluation));
      const [mean, deviation] = means[objective] || [];
      // The error of a short training is another quantity.
      const value = place === undefined ? null : at((run.networks.values || {})[objective], place);
      return known(mean) && known(value) ? [mean, value, place, deviation] : null;
    }).filter(Boolean),
  }));
}

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
    const scalars = [...new Set(steps.flatMap((step) => Object.keys(step.scalars || {})))].slice(0, 8);
    const decisions = [...new Set(steps.flatMap((step) => Object.keys(step.choices || {})))];
    if (!decisions.includes(view.decision)) view.decision = decisions[0] || null;
    const state = JSON.stringify([decisions, view.decision]);
    if (state !== this.state) {
      this.state = state;
      this.controls.replaceChildren(decisions.length ? choice("shares of", decisions.map((name) => [name, short(name)]), view.decision, (value) => {
        view.decision = value;
        this.update(page.model);
      }) : "");
    }
    const plots = scalars.map((scalar) => ({ name: "policy-" + scalar, scalar }));
    if (view.decision !== null) plots.push({ name: "policy-choices" });
    const across = axis("evaluations", { format: whole, min: "dataMin", max: "dataMax" });
    smallPlots(this.boxes, plots, (plot) => {
      if (plot.scalar !== undefined) {
        const data = steps.map((step) => [step.evaluations, (step.scalars || {})[plot.scalar]]).filter((point) => known(point[1]));
        return [{
          xAxis: across, yAxis: axis(short(plot.scalar, 30), { nameGap: 48 }), tooltip: { ...hint(), trigger: "axis" },
          series: [{ id: "scalar", name: seriesName(plot.scalar), type: "line", showSymbol: false, data, lineStyle: { color: colours().complete, width: 2 }, itemStyle: { color: colours().complete } }],
        }, `${short(plot.scalar)} of the policy: ${number(data[0]?.[1])} at first, ${number(data.at(-1)?.[1])} at last.`];
      }
      const last = steps.at(-1).choices[view.decision] || {};
      const names = [...new Set(steps.flatMap((step) => Object.keys((step.choices || {})[view.decision] || {})))];
      return [{
        legend: legend(names.map((name) => seriesName(name))), xAxis: across,
        yAxis: axis("share", { min: 0, max: 1, nameGap: 40 }), tooltip: { ...hint(), trigger: "axis" },
        series: names.map((name, index) => ({
          id: "choice " + index, name: seriesName(name), type: "line", stack: "share", showSymbol: false, lineStyle: { width: 1, color: runColour(index) },
          areaStyle: { color: runColour(index), opacity: 0.55 }, itemStyle: { color: runColour(index) },
          data: steps.map((step) => [step.evaluations, ((step.choices || {})[view.decision] || {})[name] || 0]),
        })),
      }, `Shares of the choices of ${short(view.decision)}; at last: ${names.map((name) => `${short(name, 30)} ${number(last[name], 2)}`).join(", ")}.`];
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
    const rows = model.drawn.map((run) => ({ run, cost: costOf(run) })).filter((row) => row.cost).reverse();
    const parts = [["training", 1], ["measuring", 0], ["own", 2]].filter(([name]) => rows.some((row) => row.cost[name] > 0));
    const longest = Math.max(...rows.map((row) => parts.reduce((sum, [name]) => sum + (row.cost[name] || 0), 0)));
    const [unit, size] = longest > 7200 ? ["hours", 3600] : longest > 300 ? ["minutes", 60] : ["seconds", 1];
    this.box.style.height = 90 + 30 * rows.length + "px";
    const words = (name) => (name === "own" ? "the search itself" : name);
    draw("cost", this.box, {
      legend: legend(parts.map(([name]) => words(name))),
      xAxis: axis(unit, { scale: false }),
      yAxis: { type: "category", data: rows.map((row) => short(row.run.name, 24)), axisLabel: { color: colours().text, show: rows.length > 1 }, axisLine: { lineStyle: { color: colours().soft } } },
      series: parts.map(([name, colour]) => ({ id: name, name: words(name), type: "bar", stack: "time", barMaxWidth: 24, itemStyle: { color: runColour(colour) }, data: rows.map((row) => (row.cost[name] || 0) / size) })),
    }, "Time by activity. " + rows.map((row) => `${short(row.run.name)}: ${parts.map(([name]) => `${words(name)} ${duration(row.cost[name] || 0)}`).join(", ")}`).join("; ") + ".");
    this.note.textContent = rows.map(({ run, cost }) => [
      model.several ? short(run.name, 40) + ":" : "", parts.map(([name]) => `${words(name)} ${duration(cost[name] || 0)}`).join(", ") + ".",
      known(cost.whole) ? `Whole time ${duration(cost.whole)}; steps side by side count each.` : "",
      known(cost.energy) ? `Energy of the search: ${number(cost.energy, 3)} kWh.` : "",
    ].filter(Boolean).join(" ")).reverse().join(" ");
  },
};

/** Seconds by activity: as the search recorded them, or from the journal's columns. */
function costOf(run) {
  const watch = run.run.watch || {};
  const sum = (column) => (column || []).reduce((total, value) => total + (value || 0), 0);
  const seconds = watch.seconds || {};
  const cost = {
    training: seconds.training ?? sum(run.networks.train_seconds), measuring: seconds.measuring ?? sum(run.networks.measure_seconds),
    own: seconds.own, whole: seconds.whole, energy: watch.energy_kwh,
  };
  return cost.training > 0 || cost.measuring > 0 ? cost : null;
}
