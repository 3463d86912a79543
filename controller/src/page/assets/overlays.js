// What the front plot draws over its points: fronts, deviations, bounds and the selection.

/** The staircase of a front in the two objectives. */
function frontLine(model, run) {
  if (view.hiddenKinds.has("front")) return [];
  const members = run.front
    .map((member) => [member.objectives[view.x], member.objectives[view.y]])
    .filter((point) => point.every(known));
  if (members.length < 2) return [];
  const colour = model.drawn.length > 1 ? runColour(run.index) : colours().front;
  return [
    {
      id: `line ${run.index}`,
      type: "line",
      step: "end",
      silent: true,
      showSymbol: false,
      z: 3,
      data: staircase(members),
      lineStyle: { color: colour, width: 1.5, opacity: 0.6 },
      tooltip: { show: false },
    },
  ];
}

/** Deviations of the front's members and of the selected network. */
function deviationBars(model) {
  if (!view.bars) return [];
  const rows = [];
  const add = (run, place) => {
    if (place === undefined) return;
    const [x, y] = [valueOf(run, view.x, place), valueOf(run, view.y, place)];
    const [wide, high] = [deviationOf(run, view.x, place), deviationOf(run, view.y, place)];
    if (known(x) && known(y) && (known(wide) || known(high)))
      rows.push([x, y, view.bars * (wide || 0), view.bars * (high || 0)]);
  };
  if (!view.hiddenKinds.has("front")) {
    for (const run of model.drawn)
      for (const member of run.front) add(run, run.places.get(member.evaluation));
  }
  const chosen = selected(model);
  if (chosen && !chosen.run.members.has(chosen.run.evaluations[chosen.place])) add(chosen.run, chosen.place);
  return [errorBars("bars", rows, colours().soft)];
}

/** The bounds of the run that is shown: a line, and a shade over what breaks it. */
function boundSeries(model, ranges) {
  const bounds = (model.shown && model.shown.run.bounds) || {};
  const palette = colours();
  const lines = [];
  const areas = [];
  const put = (name, key, range, position) => {
    const bound = bounds[name];
    if (!known(bound) || !range.holds(bound)) return;
    const words = `bound ${valueText(name, bound)}`;
    lines.push({
      [key]: bound,
      label: {
        formatter: words,
        color: palette.soft,
        position,
      },
    });
    areas.push([{ [key]: bound }, { [key]: range.axis.max }]);
  };
  // Where they cross, only one of them has its words.
  put(view.x, "xAxis", ranges[0], "insideEndTop");
  put(view.y, "yAxis", ranges[1], "insideStartTop");
  return [
    {
      id: "bounds",
      type: "scatter",
      data: [],
      silent: true,
      z: 1,
      markLine: {
        silent: true,
        symbol: "none",
        animation: false,
        lineStyle: { color: palette.soft, type: "dashed", width: 1.5 },
        data: lines,
      },
      markArea: { silent: true, animation: false, itemStyle: { color: palette.shade }, data: areas },
    },
  ];
}

/** A ring about the selected network. */
function selectionRing(model) {
  const chosen = selected(model);
  const point = chosen && [
    valueOf(chosen.run, view.x, chosen.place),
    valueOf(chosen.run, view.y, chosen.place),
  ];
  return [
    {
      id: "selected",
      type: "scatter",
      silent: true,
      z: 8,
      symbol: "circle",
      symbolSize: 20,
      clip: true,
      itemStyle: { color: "transparent", borderColor: colours().text, borderWidth: 2 },
      data: point && point.every(known) ? [point] : [],
    },
  ];
}
