/** The elements of index.html, by their ids. */

/** Throws if the page has no such element of that kind: then page and program do not fit. */
export function element<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`index.html has no ${kind.name} #${id}`);
}

export const input = (id: string) => element(id, HTMLInputElement);
export const select = (id: string) => element(id, HTMLSelectElement);
export const button = (id: string) => element(id, HTMLButtonElement);
export const canvas = (id: string) => element(id, HTMLCanvasElement);
export const box = (id: string) => element(id, HTMLElement);

/** Texts as the items of a list. */
export function listItems(list: HTMLElement, texts: readonly string[]): void {
  list.replaceChildren(
    ...texts.map((text) => Object.assign(document.createElement("li"), { textContent: text })),
  );
}
