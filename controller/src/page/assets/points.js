// The points of the front plot, in groups that are drawn alike.

const MANY = 2000; // Above so many points, a series is drawn as one shape.

/** The points of all runs that are drawn, as groups of one run, kind and colour. A point is [x, y, place, z, colour]. */
function pointsOf(model) {
  const counts = new Array(KINDS.length).fill(0);
  const groups = new Map();
  const rows = [];
  let missing = 0;
  const several = model.drawn.length > 1;
  for (const run of model.drawn) {
    for (let place = 0; place < run.size; place += 1) {
      const x = valueOf(run, view.x, place);
      const y = valueOf(run, view.y, place);
      const z = view.z ? valueOf(run, view.z, place) : 0;
      const hue = view.colour ? valueOf(run, view.colour, place) : null;
      if (!known(x) || !known(y) || !known(z)) {
        missing += 1;
        continue;
      }
      counts[run.kinds[place]] += 1;
      rows.push([run, x, y, place, z, hue]);
    }
  }
  const bins = view.colour ? binsOf(rows.map((row) => row[5]).filter(known)) : [];
  for (const [run, x, y, place, z, hue] of rows) {
    const kind = run.kinds[place];
    if (view.hiddenKinds.has(KINDS[kind].key)) continue;
    let bin = -1;
    if (bins.length && known(hue))
      bin = Math.max(
        0,
        bins.findIndex(([, high]) => hue <= high),
      );
    const key = (kind * 100 + run.index) * 100 + bin + 1;
    let group = groups.get(key);
    if (!group) {
      const palette = colours();
      const colour = bins.length
        ? bin < 0
          ? palette.measured
          : palette.scale[bin]
        : several
          ? runColour(run.index)
          : palette[KINDS[kind].key];
      group = { key, run, kind: KINDS[kind], kindIndex: kind, colour, outlined: bins.length > 0, data: [] };
      groups.set(key, group);
    }
    group.data.push([x, y, place, z]);
  }
  return { groups: [...groups.values()].sort((a, b) => a.key - b.key), counts, bins, missing };
}

function scatter(group, total) {
  const large = group.data.length > MANY;
  const [front, few] = [group.kind.key === "front", ["front", "beyond", "failed"].includes(group.kind.key)];
  // A large series draws plain shapes only.
  const plain =
    { pin: "rect", emptyCircle: "circle" }[group.kind.symbol] ||
    (group.kind.symbol.startsWith("path") ? "triangle" : group.kind.symbol);
  const hollow = !large && ["short", "failed"].includes(group.kind.key);
  const size = group.kind.size * (total > 400 ? 0.8 : 1);
  return {
    id: `networks ${group.run.index} ${group.kindIndex} ${group.key}`,
    name: `${group.run.index}:${group.kind.key}`,
    type: "scatter",
    data: group.data,
    large,
    largeThreshold: MANY,
    clip: true,
    z: 2 + (front ? 3 : 0),
    symbol: large || group.kind.key === "short" ? plain : group.kind.symbol,
    symbolSize: total > MANY && !few ? 3 : size,
    itemStyle: {
      color: hollow ? "transparent" : group.colour,
      opacity: front ? 1 : large ? 0.5 : 0.75,
      ...(front
        ? { borderColor: colours().back, borderWidth: 1 }
        : hollow
          ? { borderColor: group.colour, borderWidth: 1.5 }
          : {}),
    },
    encode: { x: 0, y: 1 },
    emphasis: { scale: 1.4 },
  };
}

function networkAt(model, point) {
  const match = /^networks (\d+) /.exec(point.seriesId || "");
  return match && point.value ? [model.runs[Number(match[1])], point.value[2]] : null;
}
