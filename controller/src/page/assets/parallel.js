// The front's members as parallel coordinates.

const parallelPart = {
  id: "parallel",
  title: "The front's members",
  has: (model) =>
    model.shown !== null &&
    model.shown.front.length > 1 &&
    model.shown.objectives.length + model.shown.decisions.length > 1,
  build(section) {
    this.note = el("p", { class: "note" });
    this.scroll = el("div", { class: "scroll" });
    this.box = plotBox("parallel", { class: "plot parallel" });
    this.scroll.append(this.box);
    section.append(this.note, this.scroll);
  },
  update(model) {
    const run = model.shown;
    const palette = colours();
    const members = run.front
      .map((member) => ({ member, place: run.places.get(member.evaluation) }))
      .filter((entry) => entry.place !== undefined);
    const choices = members.map(({ place }) => choicesOf(run, place));
    const varied = choices.every(Boolean)
      ? run.decisions
          .map((decision, index) => ({ decision, index }))
          .filter(({ index }) => choices.some((list) => list[index] !== choices[0][index]))
      : [];
    const decisions = varied.slice(0, 12);
    const same = choices.every(Boolean)
      ? run.decisions.filter((_, index) => !varied.some((one) => one.index === index))
      : [];
    const wide = 120 + 110 * (run.objectives.length + decisions.length);
    this.box.style.minWidth = Math.max(320, wide) + "px";
    const shared = {
      nameLocation: "start",
      nameGap: 14,
      nameTextStyle: { color: palette.text, fontSize: 12, width: 104, overflow: "break" },
      axisLine: { lineStyle: { color: palette.soft } },
      axisLabel: {
        color: palette.soft,
        textBorderColor: palette.back,
        textBorderWidth: 3,
        hideOverlap: true,
      },
    };
    const axes = [
      ...run.objectives.map((name, dim) => {
        const values = members.map(({ member }) => member.objectives[name]).filter(known);
        const [low, high] = [Math.min(...values), Math.max(...values)];
        return {
          ...shared,
          dim,
          name: briefOf(name),
          type: "value",
          scale: true,
          ...(low < high ? { min: low, max: high } : {}),
          axisLabel: {
            ...shared.axisLabel,
            formatter: (value) => formatOf(name)(Number(value.toPrecision(3))),
          },
        };
      }),
      ...decisions.map(({ decision }, index) => ({
        ...shared,
        dim: run.objectives.length + index,
        name: short(decision.name, 40),
        type: "category",
        boundaryGap: true,
        data: decision.choices.map((name) => short(name, 18)),
      })),
    ];
    const lines = members.map(({ member, place }, row) => ({
      name: nameOfNetwork(run, place),
      place,
      value: [
        ...run.objectives.map((name) => member.objectives[name]),
        ...decisions.map(({ index }) => choices[row][index]),
      ],
    }));
    const errors = members.map(({ member }) => member.objectives[run.objectives[0]]).filter(known);
    const [low, high] = [Math.min(...errors), Math.max(...errors)];
    this.note.textContent = [
      `One line a member, coloured by ${labelOf(run.objectives[0])}.`,
      varied.length > decisions.length
        ? `${decisions.length} of the ${varied.length} decisions that differ are drawn.`
        : "",
      same.length && varied.length
        ? `The same in all members: ${same
            .slice(0, 8)
            .map((decision) => short(decision.name, 30))
            .join(", ")}${same.length > 8 ? " …" : ""}.`
        : "",
    ]
      .filter(Boolean)
      .join(" ");
    const scale = palette.scale;
    const chart = draw(
      "parallel",
      this.box,
      {
        parallel: { left: 90, right: 110, top: 18, bottom: 34, parallelAxisDefault: { realtime: false } },
        parallelAxis: axes,
        tooltip: hint((point) =>
          point.data && known(point.data.place) ? networkTip(page.model, run, point.data.place) : "",
        ),
        series: [
          {
            id: "members",
            type: "parallel",
            lineStyle: { width: 2, opacity: 0.8 },
            data: lines.map((line) => {
              const share = high > low ? (line.value[0] - low) / (high - low) : 0;
              return {
                ...line,
                lineStyle: { color: scale[Math.min(scale.length - 1, Math.floor(share * scale.length))] },
              };
            }),
            emphasis: { lineStyle: { width: 4, opacity: 1 } },
          },
        ],
        xAxis: [],
        yAxis: [],
        grid: [],
      },
      `Parallel coordinates of the ${members.length} members of the front over ${run.objectives.map(labelOf).join(", ")}${decisions.length ? ` and the decisions ${decisions.map(({ decision }) => short(decision.name, 30)).join(", ")}` : ""}.`,
    );
    if (!chart.isReady) {
      chart.isReady = true;
      chart.on(
        "click",
        (point) => point.data && known(point.data.place) && openNetwork(page.model.shown, point.data.place),
      );
    }
  },
};
