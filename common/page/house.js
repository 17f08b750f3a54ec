// What the pages of curling have in common: numbers as text, and plots that follow the width and the colour scheme.
globalThis.house = (() => {
  /** A colour of house.css, by its name. */
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /** A number with three digits, thousands apart; a dash for none. */
  function text(value) {
    if (value === null || value === undefined) return '–';
    const size = Math.abs(value);
    if (size === 0) return '0';
    if (size >= 999.5) return Math.round(value).toLocaleString('en').replaceAll(',', '\u202f');
    return String(Number(value.toPrecision(3)));
  }

  /** How an axis of uPlot looks. */
  function axis() {
    const line = { stroke: colour('--grid'), width: 1 };
    return { stroke: colour('--soft'), grid: line, ticks: line, font: '12px system-ui' };
  }

  /** Calls `draw` for each place now, when its width has changed, and when the colour scheme has. */
  function keepDrawn(places, draw) {
    const widths = new Map();
    const observer = new ResizeObserver(entries => {
      for (const { target, contentRect } of entries) {
        if (widths.get(target) === contentRect.width) continue;
        widths.set(target, contentRect.width);
        draw(target);
      }
    });
    for (const place of places) observer.observe(place);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      for (const place of places) draw(place);
    });
  }

  return { axis, colour, keepDrawn, text };
})();
