// Draws the line plots of the page with uPlot, again when the width or the colour scheme changes.
/* global house, uPlot */
(() => {
  const { axis, colour, text } = house;
  const HEIGHT = 260;
  const COLOURS = 8;
  const LABEL_GAP = 34;
  const plots = JSON.parse(document.getElementById('plots').textContent);
  /** The x values, the medians of every series, then the levels. */
  function dataOf(plot) {
    const xs = [...new Set(plot.series.flatMap(one => one.points.map(point => point.x)))];
    xs.sort((a, b) => a - b);
    const medians = plot.series.map(one =>
      xs.map(x => one.points.find(point => point.x === x)?.median ?? null),
    );
    return [xs, ...medians, ...plot.levels.map(level => xs.map(() => level.value))];
  }

  /** Logarithmic when asked for; around 0 as well, which a logarithm cannot show. */
  function xScale(plot, xs) {
    if (!plot.axis.logarithmic) return { time: false };
    return xs[0] > 0 ? { time: false, distr: 3 } : { time: false, distr: 4 };
  }

  /** From 0; logarithmic when the values span several orders. */
  function yScale(plot) {
    const points = plot.series.flatMap(one => one.points.flatMap(p => [p.q1, p.median, p.q3]));
    const all = [...points, ...plot.levels.map(level => level.value)];
    const [low, high] = [Math.min(...all), Math.max(...all)];
    if (low > 0 && high / low > 50) return { distr: 3 };
    const top = high > 0 ? high * 1.08 : 1;
    return { range: () => [Math.min(0, low), top] };
  }

  /** Labels at the measured places, those left out that would touch the one before. */
  function splitsOf(xs) {
    return self => {
      let last = Number.NEGATIVE_INFINITY;
      return xs.filter(x => {
        const at = self.valToPos(x, 'x');
        if (at - last < LABEL_GAP) return false;
        last = at;
        return true;
      });
    };
  }

  function drawWhiskers(plot) {
    return self => {
      const { ctx } = self;
      const ratio = window.devicePixelRatio;
      const cap = 4 * ratio;
      ctx.save();
      ctx.lineWidth = 1.5 * ratio;
      ctx.setLineDash([]);
      plot.series.forEach((one, index) => {
        if (!self.series[index + 1].show) return;
        ctx.strokeStyle = colour(`--s${(index % COLOURS) + 1}`);
        for (const { x, q1, q3 } of one.points) {
          if (!(q3 > q1)) continue;
          const at = self.valToPos(x, 'x', true);
          const [low, high] = [self.valToPos(q1, 'y', true), self.valToPos(q3, 'y', true)];
          ctx.beginPath();
          ctx.moveTo(at, low);
          ctx.lineTo(at, high);
          ctx.moveTo(at - cap, low);
          ctx.lineTo(at + cap, low);
          ctx.moveTo(at - cap, high);
          ctx.lineTo(at + cap, high);
          ctx.stroke();
        }
      });
      ctx.restore();
    };
  }

  function seriesOf(plot) {
    const value = (_self, raw) => text(raw);
    const lines = plot.series.map((one, index) => {
      const stroke = colour(`--s${(index % COLOURS) + 1}`);
      const points = { show: true, size: 7, fill: stroke };
      return { label: one.name, stroke, width: 2, points, spanGaps: true, value };
    });
    const levels = plot.levels.map(level => {
      const shared = { width: 1.5, dash: [6, 4], points: { show: false }, value };
      return { label: level.name, stroke: colour('--soft'), ...shared };
    });
    const unit = plot.axis.unit ? ` ${plot.axis.unit}` : '';
    return [
      { label: plot.axis.title || 'x', value: (_s, raw) => text(raw) + unit },
      ...lines,
      ...levels,
    ];
  }

  function optionsOf(plot, xs, width) {
    const unit = plot.axis.unit ? `, ${plot.axis.unit}` : '';
    const values = (_self, splits) => splits.map(split => (split === null ? '' : text(split)));
    return {
      width,
      height: HEIGHT,
      scales: { x: xScale(plot, xs), y: yScale(plot) },
      series: seriesOf(plot),
      axes: [
        {
          ...axis(),
          label: `${plot.axis.title}${unit}`,
          labelFont: '12px system-ui',
          labelSize: 22,
          splits: splitsOf(xs),
          filter: (_self, splits) => splits,
          values,
        },
        { ...axis(), values, size: 58 },
      ],
      cursor: { drag: { x: false, y: false } },
      legend: { markers: { fill: (self, index) => self.series[index].stroke?.(self, index) } },
      hooks: { draw: [drawWhiskers(plot)] },
    };
  }

  function draw(place) {
    const plot = plots[Number(place.dataset.plot)];
    const width = place.clientWidth;
    if (width === 0) return;
    const data = dataOf(plot);
    place.replaceChildren();
    new uPlot(optionsOf(plot, data[0], width), data, place);
  }

  house.keepDrawn(document.querySelectorAll('.lines'), draw);
})();
