// What the last minutes or hours were like: keeps the rows that the coordinator sends, and draws them with uPlot.
/* global house, uPlot */
globalThis.plots = (() => {
  const { axis, colour, keepDrawn, text } = house;
  const HEIGHT = 180;
  const KIB = 1024;
  /** Times are shown from here on, milliseconds: a logarithm has no 0. */
  const LOWEST_MS = 0.1;
  /** Tones of the states of arbitration; as in coordinator/page/state-parts.ts. */
  const TONES = { PROT: 'good', BACK: 'good', SOLO: 'bad', HALT: 'bad' };
  /** The least that is shown: this part of the whole range. */
  const LEAST_SHOWN = 5;
  /** Seconds from one time on an axis to the next. */
  const STEPS = [10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200];
  const NOTHING = 'nothing was measured in this time';
  /** The rows of both resolutions, by name: `fine` and `coarse`. */
  const history = {};
  let states = [];
  let range = 'fine';
  const charts = new Map();

  const mapped = (values, change) => values.map(value => (value === null ? null : change(value)));

  /** A quotient of two columns, row by row; none where there is nothing to divide by. */
  function per(values, divisors) {
    return values.map((value, i) => (divisors[i] > 0 ? value / divisors[i] : null));
  }

  /** The lines of times: the median, what is rarely exceeded, and what never was. */
  function times(name) {
    const visible = values => mapped(values, value => Math.max(value, LOWEST_MS));
    return columns => [
      ['p50', visible(columns[`${name}P50`]), '--s1'],
      ['p99', visible(columns[`${name}P99`]), '--s2'],
      ['max', visible(columns[`${name}Max`]), '--base'],
    ];
  }

  /** By plot, its lines: name, values, colour. */
  const LINES = {
    pause: times('pause'),
    delay: times('delay'),
    held: columns => [['most', mapped(columns.heldBytes, bytes => bytes / KIB), '--s3']],
    size: columns => {
      const bytes = per(columns.checkpointBytes, columns.epochs);
      return [['mean', mapped(bytes, value => value / KIB), '--s5']];
    },
    lag: columns => [['most', columns.lag, '--s4']],
    rate: (columns, rows) => {
      const epochs = mapped(columns.epochs, value => (value * 1000) / rows.intervalMs);
      // Where none was taken either there is no rate.
      const told = epochs.map((value, i) => (columns.lag[i] === null && !value ? null : value));
      return [['mean', told, '--s8']];
    },
  };

  function addRows(name, rows, reset) {
    const known = history[name];
    if (reset || !known) {
      history[name] = rows;
      return;
    }
    for (const [column, values] of Object.entries(rows.columns)) {
      const all = known.columns[column];
      all.push(...values);
      if (all.length > known.rowsMax) all.splice(0, all.length - known.rowsMax);
    }
    known.firstAt = endOf(rows) - known.columns.state.length * known.intervalMs;
  }

  /** Unix time, milliseconds, of the end of the last row. */
  const endOf = rows => rows.firstAt + rows.columns.state.length * rows.intervalMs;

  /** How many rows fit between the edges: those that there are, but not so few that they look like much. */
  const rowsShown = rows => Math.max(rows.columns.state.length, rows.rowsMax / LEAST_SHOWN);

  /** Unix seconds at the left edge and at the right one. */
  function windowOf(rows) {
    const end = endOf(rows);
    return [(end - rowsShown(rows) * rows.intervalMs) / 1000, end / 1000];
  }

  function dataOf(plot) {
    const rows = history[range];
    const lines = LINES[plot](rows.columns, rows);
    const xs = rows.columns.state.map((_, i) => (rows.firstAt + i * rows.intervalMs) / 1000);
    return { lines, data: [xs, ...lines.map(([, values]) => values)] };
  }

  /** Times on a logarithm up to a whole decade, so that the scale seldom moves; anything else from 0. */
  function yScale(isTimes) {
    if (!isTimes) return { range: (_self, _low, high) => [0, high > 0 ? high * 1.08 : 1] };
    const decade = high => 10 ** Math.max(2, Math.ceil(Math.log10(Math.max(high ?? 0, LOWEST_MS))));
    return { distr: 3, range: (_self, _low, high) => [LOWEST_MS, decade(high)] };
  }

  /** 0.1, 1, 10, … within a scale. */
  const decades = (_self, _axis, low, high) =>
    [-1, 0, 1, 2, 3, 4, 5].map(power => 10 ** power).filter(at => at >= low && at <= high);

  const all = (_self, splits) => splits;

  /** The time of day, with seconds where minutes would repeat themselves. */
  function clocks(_self, splits) {
    const digits = splits[1] - splits[0] < 60 ? 19 : 16;
    return splits.map(at => new Date(at * 1000).toISOString().slice(11, digits));
  }

  /** The newest values stand beside the lines while nobody points at others. */
  function newest(chart) {
    const rows = chart.data[0].length;
    if (rows > 0 && !(chart.cursor.left >= 0)) chart.setLegend({ idx: rows - 1 }, false);
  }

  function optionsOf(lines, width) {
    const isTimes = lines.length === 3;
    const value = (_self, raw) => text(raw);
    const series = lines.map(([label, , name], index) => ({
      label,
      stroke: colour(name),
      width: index === 2 ? 1 : 1.75,
      fill: isTimes ? undefined : `${colour(name)}22`,
      points: { show: false },
      value,
    }));
    const values = (_self, splits) => splits.map(split => (split === null ? '' : text(split)));
    return {
      width,
      height: HEIGHT,
      tzDate: seconds => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
      scales: { x: { range: () => windowOf(history[range]) }, y: yScale(isTimes) },
      series: [{ label: 'at', value: '{HH}:{mm}:{ss}' }, ...series],
      bands: isTimes ? [{ series: [2, 1], fill: `${colour('--s2')}26` }] : [],
      axes: [
        { ...axis(), space: 80, incrs: STEPS, values: clocks },
        { ...axis(), values, size: 52, ...(isTimes ? { splits: decades, filter: all } : {}) },
      ],
      hooks: { setCursor: [newest] },
      cursor: { drag: { x: false, y: false }, points: { size: 6 } },
      legend: { markers: { fill: (self, index) => self.series[index].stroke?.(self, index) } },
    };
  }

  function draw(place) {
    if (!history.fine || place.clientWidth === 0) return;
    const { lines, data } = dataOf(place.dataset.plot);
    charts.get(place)?.destroy();
    const note = document.createElement('p');
    note.className = 'nothing-yet';
    place.replaceChildren(note);
    charts.set(place, new uPlot(optionsOf(lines, place.clientWidth), data, place));
    told(place, lines);
  }

  /** What stands beside the lines: values, or that there are none. */
  function told(place, lines) {
    newest(charts.get(place));
    const some = lines.some(([, values]) => values.some(value => value !== null));
    const text = some ? '' : NOTHING;
    const note = place.querySelector('.nothing-yet');
    if (note.textContent !== text) note.textContent = text;
  }

  /** Rows with the same state, one after the other: from which row to which, and the state. */
  function stretches(values) {
    const found = [];
    values.forEach((state, at) => {
      const last = found.at(-1);
      if (last?.state === state) last.end = at + 1;
      else found.push({ state, start: at, end: at + 1 });
    });
    return found;
  }

  function drawStrip() {
    const strip = document.getElementById('strip');
    const { columns, intervalMs } = history[range];
    const shown = rowsShown(history[range]);
    const spanOf = (rows, className, name) => {
      const span = document.createElement('span');
      span.className = className;
      span.style.width = `${(100 * rows) / shown}%`;
      span.textContent = rows > shown / 12 ? name : '';
      return span;
    };
    const found = stretches(columns.state).map(({ state, start, end }) => {
      const name = states[state] ?? '?';
      const span = spanOf(end - start, TONES[name] ?? 'unsure', name);
      span.title = `${name}, ${Math.round(((end - start) * intervalMs) / 1000)} s`;
      return span;
    });
    strip.replaceChildren(spanOf(shown - columns.state.length, '', ''), ...found);
    const last = found.slice(-8).map(span => span.title);
    strip.setAttribute('aria-label', `States, the last of them: ${last.join('; ')}`);
    const from = new Date(windowOf(history[range])[0] * 1000);
    document.getElementById('strip-from').textContent = from.toISOString().slice(11, 16);
  }

  const places = document.querySelectorAll('[data-plot]');

  function renew() {
    if (document.hidden || !history.fine) return;
    drawStrip();
    for (const place of places) {
      const chart = charts.get(place);
      if (!chart) continue;
      const { lines, data } = dataOf(place.dataset.plot);
      chart.setData(data);
      told(place, lines);
    }
  }

  const buttons = document.querySelectorAll('[data-range]');
  for (const button of buttons) {
    button.addEventListener('click', () => {
      range = button.dataset.range;
      for (const each of buttons) each.setAttribute('aria-pressed', String(each === button));
      renew();
    });
  }
  document.addEventListener('visibilitychange', renew);

  return {
    /** Takes what is new of the history (coordinator/history.ts). */
    add(news) {
      const first = !history.fine;
      states = news.states;
      addRows('fine', news.fine, news.reset);
      addRows('coarse', news.coarse, news.reset);
      if (first) {
        document.getElementById('over-time').hidden = false;
        keepDrawn(places, draw);
      }
      renew();
    },
  };
})();
