// Elements of a page, made of text alone: nothing that comes from a file or a server is HTML.

import { blocksOf } from "./words.js";

const TAGS = { h1: "h1", h2: "h2", p: "p", quote: "blockquote", item: "li" };

/** An element with attributes, listeners (`onclick`) and children (elements or strings). */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

/** A text in Markdown as elements. */
export function elementsOf(text) {
  return blocksOf(text).map(({ kind, spans }) =>
    element(
      TAGS[kind],
      {},
      ...spans.map((span) => (span.strong ? element("strong", {}, span.text) : span.text)),
    ),
  );
}

/** Shows `children` in place of what is in `place`, from the top, with the focus on "[data-focus]". */
export function show(place, ...children) {
  place.replaceChildren(...children.filter((child) => child != null));
  window.scrollTo(0, 0);
  place.querySelector("[data-focus]")?.focus({ preventScroll: true });
}
