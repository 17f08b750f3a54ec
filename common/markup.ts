/** HTML as text: everything that comes from outside is escaped. */

/** Markup that is safe to put into a page as it is. */
export class Markup {
  readonly html: string;

  constructor(html: string) {
    this.html = html;
  }
}

export type Part = string | number | Markup | null | undefined | false | readonly Part[];

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** For text between tags and in quoted attributes. */
export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, char => ENTITIES[char]!);
}

function render(part: Part): string {
  if (part instanceof Markup) return part.html;
  if (Array.isArray(part)) return part.map(render).join('');
  if (part === null || part === undefined || part === false) return '';
  return escapeText(String(part));
}

/** A template: what is put in is escaped unless it is markup; lists are joined, null and false are nothing. */
export function html(texts: TemplateStringsArray, ...parts: Part[]): Markup {
  const tail = parts.map((part, index) => render(part) + texts[index + 1]);
  return new Markup(texts[0] + tail.join(''));
}

/** JSON that can stand in a script element: it cannot end the element, nor begin a comment. */
export function scriptJson(value: unknown): Markup {
  return new Markup(JSON.stringify(value).replaceAll('<', '\\u003c'));
}
