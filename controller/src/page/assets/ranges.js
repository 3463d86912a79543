// Ranges: of an axis, of its ticks, and of the colours.

/** The range of an axis: all values, or what is interesting: the front, and the bulk of the networks that keep the bounds. */
function rangeOf(points, index, wantedLog) {
  const dimension = index === 2 ? 3 : index;
  const [all, good, fronts] = [[], [], []];
  const bounds = (page.model.shown && page.model.shown.run.bounds) || {};
  const limits = [
    [0, bounds[view.x]],
    [1, bounds[view.y]],
    [3, bounds[view.z]],
  ].filter(([, bound]) => known(bound));
  for (const group of points.groups) {
    const set =
      group.kind.key === "front"
        ? fronts
        : ["beyond", "useless", "failed"].includes(group.kind.key)
          ? null
          : good;
    for (const point of group.data) {
      all.push(point[dimension]);
      // A short training says little of the error after a full one, yet its points belong to the picture up to the bound.
      if (set === fronts || (set && limits.every(([at, bound]) => point[at] <= bound)))
        set.push(point[dimension]);
    }
  }
  all.sort((a, b) => a - b);
  if (!all.length) return { low: 0, high: 1, log: false, limited: false, holds: () => true, axis: {} };
  let [low, high] = [all[0], all[all.length - 1]];
  const useful = good.concat(fronts).sort((a, b) => a - b);
  if (!view.whole && useful.length > 4) {
    const scale =
      useful[0] > 0 && useful[useful.length - 1] / useful[0] > 25
        ? [Math.log, Math.exp]
        : [(v) => v, (v) => v];
    const [q1, q3] = [0.25, 0.75].map((share) => scale[0](quantile(useful, share)));
    const fence = scale[1](q3 + 2.5 * (q3 - q1));
    const inside = useful.filter((value) => value <= fence);
    high = Math.max(
      inside[inside.length - 1],
      fronts.reduce((most, value) => Math.max(most, value), -Infinity),
    );
    low = useful[0];
    // A bound that is near enough is in the picture.
    const bound = bounds[[view.x, view.y, view.z][index]];
    if (known(bound) && bound < all[all.length - 1] && bound <= high + 0.6 * (high - low))
      high = Math.max(high, bound + 0.1 * (bound - low));
  }
  const limited = low > all[0] || high < all[all.length - 1];
  const log = low > 0 && (wantedLog ?? high / low > 25);
  let [from, to] = log
    ? [low / Math.pow(high / low || 2, 0.04), high * Math.pow(high / low || 2, 0.04)]
    : [low - 0.04 * (high - low), high + 0.04 * (high - low)];
  if (from === to) [from, to] = [low - Math.abs(low) * 0.1 - 1e-9, high + Math.abs(high) * 0.1 + 1e-9];
  if (low >= 0 && from < 0) from = 0;
  const ticks = ticksOf(from, to, log);
  const custom = { customValues: ticks };
  return {
    low,
    high,
    log,
    limited,
    from,
    to,
    ticks,
    holds: (value) => value >= from && value <= to,
    axis: {
      min: from,
      max: to,
      axisLabel: { color: colours().soft, hideOverlap: true, ...custom, formatter: tickFormat(ticks, index) },
      axisTick: custom,
      minorTick: { show: false },
    },
  };
}

function tickFormat(ticks, index) {
  const name = [view.x, view.y, view.z][index];
  return (value) => formatOf(name)(Number(value.toPrecision(6)));
}

/** Round numbers within a range; 1, 2 and 5 of each decade on a logarithmic axis. */
function ticksOf(from, to, log) {
  const ticks = [];
  if (log) {
    const wide = Math.log10(to / from) > 4;
    for (let decade = Math.floor(Math.log10(from)); decade <= Math.log10(to); decade += 1) {
      for (const digit of wide ? [1] : [1, 2, 5]) {
        const value = Number((digit * 10 ** decade).toPrecision(3));
        if (value >= from && value <= to) ticks.push(value);
      }
    }
    return ticks;
  }
  const rough = (to - from) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  for (let value = Math.ceil(from / step) * step; value <= to + step * 1e-9; value += step)
    ticks.push(Number(value.toPrecision(10)));
  return ticks;
}

/** Ranges with about as many values each. */
function binsOf(values) {
  const sorted = values.sort((a, b) => a - b);
  if (!sorted.length) return [];
  const wanted = Math.min(PALETTES.light.scale.length, sorted.length);
  const bins = [];
  let low = sorted[0];
  for (let index = 1; index <= wanted; index += 1) {
    const high = sorted[Math.ceil((index * sorted.length) / wanted) - 1];
    if (bins.length && high <= bins[bins.length - 1][1]) continue;
    bins.push([low, high]);
    low = high;
  }
  return bins;
}
