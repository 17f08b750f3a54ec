/**
 * Headless Chromium for tests of the status page, Debian's own, optionally inside a network namespace, where it can reach
 * nothing but what is there. It is gone, with all its processes, when it is closed.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BrowserContext, chromium, type Browser as Driver, type Page } from 'playwright-core';
import { inRepository } from '../../lab/paths.ts';
import { entriesOf, pidsWithEnvironment, procText } from '../../lab/processes.ts';

const CHROMIUM = '/usr/bin/chromium';
/** In the environment of all its processes, but for those that write their titles over it. */
const MARK = 'CURLING_BROWSER';
const GONE_MS_MAX = 5_000;
/** `--no-sandbox`: Chromium refuses to run as root with it. The page is our own. */
const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];

/** Why these tests are skipped; undefined when they can run. On CI they must. */
export const NO_BROWSER =
  existsSync(CHROMIUM) || process.env.CI ? undefined : 'Debian’s chromium is not installed';

export interface Look {
  width: number;
  height: number;
  scheme?: 'light' | 'dark';
  /** Device pixels to a CSS pixel. */
  scale?: number;
  javaScript?: boolean;
}

export const DESKTOP: Look = { width: 1180, height: 900 };
export const PHONE: Look = { width: 360, height: 760 };

/** A page and what went wrong in it. */
export class Tab {
  readonly page: Page;
  /** Errors that the page or the browser reported, and requests to another origin. Empty when all is well. */
  readonly faults: string[] = [];
  readonly #context: BrowserContext;

  constructor(context: BrowserContext, page: Page, origin: string) {
    this.#context = context;
    this.page = page;
    page.on('console', message => {
      if (message.type() === 'error' || message.type() === 'warning')
        this.faults.push(`console: ${message.text()}`);
    });
    page.on('pageerror', error => this.faults.push(`error: ${error.message}`));
    page.on('request', request => {
      if (new URL(request.url()).origin !== origin) this.faults.push(`asked ${request.url()}`);
    });
  }

  /** Pixels by which the page is wider than the screen. */
  overflow(): Promise<number> {
    return this.page.evaluate<number>(
      'document.documentElement.scrollWidth - document.documentElement.clientWidth',
    );
  }

  /** Texts with less contrast to what is behind them than WCAG 2.2 asks for (level AA). */
  async faint(): Promise<string[]> {
    const script = readFileSync(inRepository('test/page/contrast.js'), 'utf8');
    return this.page.evaluate<string[]>(script);
  }

  /** What a reader sees of an element, on one line. */
  async text(selector: string): Promise<string> {
    return (await this.page.locator(selector).innerText()).replace(/\s+/g, ' ').trim();
  }

  /** Waits until an element says this. */
  async until(selector: string, text: string | RegExp, timeoutMs = 20_000): Promise<void> {
    await this.page.locator(selector, { hasText: text }).first().waitFor({ timeout: timeoutMs });
  }

  close(): Promise<void> {
    return this.#context.close();
  }
}

export class Browser {
  readonly #driver: Driver;
  readonly #folder: string;
  readonly #pid: number;

  private constructor(driver: Driver, folder: string, pid: number) {
    this.#driver = driver;
    this.#folder = folder;
    this.#pid = pid;
  }

  /** @param namespace A network namespace; without one, this process's own. */
  static async launch(namespace?: string): Promise<Browser> {
    const folder = mkdtempSync(join(tmpdir(), 'curling-browser-'));
    const program = join(folder, 'chromium');
    const inside = namespace ? `ip netns exec ${namespace} ` : '';
    const script = `#!/bin/sh\necho $$ >'${folder}/pid'\nexec ${inside}${CHROMIUM} "$@"\n`;
    writeFileSync(program, script, { mode: 0o700 });
    try {
      const env = { ...process.env, [MARK]: folder };
      const driver = await chromium.launch({ executablePath: program, args: ARGUMENTS, env });
      return new Browser(driver, folder, Number(readFileSync(join(folder, 'pid'), 'utf8')));
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Opens a page of its own, with nothing remembered. */
  async open(url: string, look: Look = DESKTOP): Promise<Tab> {
    const { width, height, scheme = 'light', javaScript = true, scale = 1 } = look;
    const context = await this.#driver.newContext({
      viewport: { width, height },
      deviceScaleFactor: scale,
      colorScheme: scheme,
      javaScriptEnabled: javaScript,
      reducedMotion: 'reduce',
    });
    const page = await context.newPage();
    const tab = new Tab(context, page, new URL(url).origin);
    await page.goto(url, { waitUntil: 'load' });
    return tab;
  }

  /** Ends it; fails when one of its processes stays. */
  async close(): Promise<void> {
    await this.#driver.close();
    const deadline = performance.now() + GONE_MS_MAX;
    while (this.#pids().length > 0) {
      if (performance.now() > deadline)
        throw new Error(`Chromium left ${this.#pids().join(', ')} behind`);
      await sleep(50);
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Those that know its folder, and those of its process group, which the driver makes for it. */
  #pids(): number[] {
    const all = entriesOf('/proc').map(Number);
    const grouped = all.filter(pid => pid > 0 && groupOf(pid) === this.#pid);
    return [...new Set([...grouped, ...pidsWithEnvironment(`${MARK}=${this.#folder}`)])];
  }
}

function groupOf(pid: number): number {
  return Number(procText(pid, 'stat').split(') ').at(-1)?.split(' ')[2]);
}
