// Keeps the status page as the coordinator is: puts what it sends into its place, and says when it no longer answers.
/* global plots */
(() => {
  /** The coordinator sends a view each second. */
  const SILENT_MS = 5_000;
  const RETRY_MS = 2_000;
  const line = document.getElementById('line');
  const lineSays = document.getElementById('line-says');
  const lineAt = document.getElementById('line-at');
  const lastKnown = document.getElementById('last-known');
  const icon = document.querySelector('link[rel=icon]');
  const parts = new Map(
    [...document.querySelectorAll('[data-part]')].map(place => [place.dataset.part, place]),
  );
  let title = document.title;
  let heardAt = new Date(document.body.dataset.at);
  let silence;
  let source;

  const clock = date => `${date.toISOString().slice(11, 19)} UTC`;

  /** Changes a text only when it differs: a screen reader says it then. */
  function say(place, text) {
    if (place.textContent !== text) place.textContent = text;
  }

  /** What stands on the page was true a moment ago. */
  function live() {
    clearTimeout(silence);
    silence = setTimeout(lost, SILENT_MS);
    line.className = 'line live';
    document.body.classList.remove('stale');
    lastKnown.hidden = true;
    say(lineSays, 'live');
    say(lineAt, clock(heardAt));
    document.title = title;
  }

  /** Nobody answers. What stands on the page may be true no more, and must not look so. */
  function lost() {
    clearTimeout(silence);
    document.body.classList.add('stale');
    line.className = 'line';
    say(lineSays, 'no answer since');
    say(lineAt, clock(heardAt));
    say(lastKnown, `No answer since ${clock(heardAt)}. Last known:`);
    lastKnown.hidden = false;
    document.title = `NO ANSWER (${title})`;
    connect(RETRY_MS);
  }

  function show({ title: newTitle, tone, at, parts: changed }) {
    title = newTitle;
    heardAt = new Date(at);
    document.body.classList.remove('good', 'unsure', 'bad');
    document.body.classList.add(tone);
    const href = `icon-${tone}.svg`;
    if (icon.getAttribute('href') !== href) icon.setAttribute('href', href);
    // It was escaped where it was made (coordinator/page/view.ts).
    for (const [name, html] of Object.entries(changed)) {
      const place = parts.get(name);
      if (place) place.innerHTML = html;
    }
    live();
  }

  /** EventSource tries again by itself, but not after every kind of answer: so here it never does. */
  function connect(delayMs) {
    source?.close();
    source = undefined;
    setTimeout(() => {
      const stream = new EventSource('events');
      source = stream;
      silence = setTimeout(lost, SILENT_MS);
      stream.addEventListener('view', event => show(JSON.parse(event.data)));
      stream.addEventListener('history', event => plots.add(JSON.parse(event.data)));
      stream.addEventListener('error', () => source === stream && lost());
    }, delayMs);
  }

  connect(0);
})();
