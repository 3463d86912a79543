// ECharts as the page uses it: one way to draw a plot, its axes and its hints.

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const chart = echarts.getInstanceByDom(target);
    const same =
      chart && chart.getWidth() === target.clientWidth && chart.getHeight() === target.clientHeight;
    if (chart && !same && target.clientWidth > 0) chart.resize();
  }
});

/** The place of a plot. */
const plotBox = (name, attributes) =>
  el("div", { class: "plot", "data-plot": name, role: "img", ...attributes });

/** Draws a plot into its place, or draws it again with new data; a zoom is kept. `sentence` says in words what it shows. */
function draw(name, box, option, sentence) {
  box.setAttribute("aria-label", sentence);
  let chart = page.charts[name];
  if (chart && chart.getDom() !== box) {
    chart.dispose();
    chart = null;
  }
  if (!chart) {
    chart = echarts.init(box, null, { renderer: "canvas" });
    page.charts[name] = chart;
    sizes.observe(box);
  }
  const palette = colours();
  chart.setOption(
    {
      animation: false,
      backgroundColor: "transparent",
      textStyle: { fontFamily: "system-ui, sans-serif", color: palette.text },
      grid: {
        left: 12,
        right: 18,
        top: option.legend ? (theme.printing ? 54 : 34) : 14,
        bottom: 10,
        outerBoundsMode: "same",
        outerBoundsContain: "all",
      },
      tooltip: hint(),
      ...option,
    },
    { replaceMerge: ["series", "xAxis", "yAxis", "grid", "legend", "title", "visualMap", "parallelAxis"] },
  );
  return chart;
}

/** Takes a plot away that has no data any more. */
function undraw(name) {
  if (!page.charts[name]) return;
  page.charts[name].dispose();
  delete page.charts[name];
}

function hint(formatter) {
  const palette = colours();
  return {
    trigger: "item",
    confine: true,
    transitionDuration: 0,
    renderMode: "html",
    backgroundColor: palette.back,
    borderColor: palette.line,
    textStyle: { color: palette.text, fontSize: 13 },
    // A formatter gives an element: text from logs is never read as HTML.
    formatter:
      formatter ||
      ((parameters) => {
        const list = Array.isArray(parameters) ? parameters : [parameters];
        return el(
          "div",
          null,
          list.map((entry) =>
            el(
              "div",
              null,
              short(entry.seriesName || entry.name || "", 60),
              ": ",
              Array.isArray(entry.value)
                ? entry.value
                    .map((value) => (typeof value === "number" ? number(value) : short(value)))
                    .join(", ")
                : number(entry.value),
            ),
          ),
        );
      }),
  };
}

/** An axis of numbers. */
function axis(name, more = {}) {
  const palette = colours();
  const { log, format, splitLine, ...rest } = more;
  return {
    type: log ? "log" : "value",
    name,
    nameLocation: "middle",
    nameGap: 26,
    scale: true,
    nameTextStyle: { color: palette.text, fontSize: 13 },
    axisLabel: {
      color: palette.soft,
      hideOverlap: true,
      formatter: (value) => (format || number)(Number(value.toPrecision(6))),
    },
    axisLine: { show: true, lineStyle: { color: palette.soft } },
    axisTick: { show: true },
    splitLine: { lineStyle: { color: palette.line, opacity: 0.6 }, ...splitLine },
    minorTick: { show: Boolean(log) },
    ...rest,
  };
}

const whole = (value) => (Number.isInteger(value) ? value.toLocaleString("en-GB") : "");

function legend(names) {
  const palette = colours();
  return {
    type: theme.printing ? "plain" : "scroll", // Paper has no second page of names.
    top: 0,
    left: 8,
    right: 8,
    itemHeight: 10,
    textStyle: { color: palette.text },
    data: names,
    pageTextStyle: { color: palette.text },
    pageIconColor: palette.soft,
    pageIconInactiveColor: palette.line,
    formatter: (name) => short(name, 48),
  };
}

/** Bars of ± a deviation as a custom series; data: [x, y, ±x, ±y]. */
function errorBars(id, data, colour) {
  return {
    id,
    type: "custom",
    silent: true,
    z: 6,
    tooltip: { show: false },
    data,
    clip: true,
    encode: { x: 0, y: 1 },
    renderItem: (_, api) => {
      const [x, y, wide, high] = [0, 1, 2, 3].map((dimension) => api.value(dimension));
      const shapes = [];
      const bar = (low, top) => {
        const [from, to] = [api.coord(low), api.coord(top)];
        if (![...from, ...to].every(Number.isFinite)) return;
        shapes.push({
          type: "line",
          shape: { x1: from[0], y1: from[1], x2: to[0], y2: to[1] },
          style: { stroke: colour, lineWidth: 1.3 },
        });
      };
      // A logarithmic axis has no place for 0 and below.
      const above = (value, centre) => (value > 0 ? value : Math.min(centre, Math.max(centre * 1e-3, 1e-12)));
      if (wide > 0) bar([above(x - wide, x), y], [x + wide, y]);
      if (high > 0) bar([x, above(y - high, y)], [x, y + high]);
      return { type: "group", children: shapes };
    },
  };
}

/** A name for a series that is unique in its plot and short enough to draw. */
const seriesName = (text) => short(text, 60);
