// Texts: sentences with places to fill, and the little of Markdown that a consent text needs. Pure.

/** The sentence with {name} replaced by `values.name`. */
export function fill(sentence, values = {}) {
  return sentence.replace(/\{(\w+)\}/g, (place, name) =>
    Object.hasOwn(values, name) ? String(values[name]) : place,
  );
}

const BLOCKS = [
  ["h1", /^# +/],
  ["h2", /^##+ +/],
  ["quote", /^> ?/],
  ["item", /^[-*] +/],
];

/**
 * Blocks of a text in Markdown: headings, quotes, items of lists, paragraphs; each has its kind and
 * its spans, which are text and, if so marked, strong. Nothing in the text is ever HTML.
 */
export function blocksOf(text) {
  const blocks = [];
  let open = null;
  for (const line of text.split(/\r?\n/)) {
    const [kind, mark] = BLOCKS.find(([, each]) => each.test(line)) ?? ["p", /^/];
    const bare = line.replace(mark, "").trim();
    if (!bare) {
      open = null;
    } else if (open && (open.kind === kind || kind === "p") && kind !== "item") {
      open.text += ` ${bare}`;
    } else {
      open = { kind, text: bare };
      blocks.push(open);
    }
    if (kind === "h1" || kind === "h2") open = null;
  }
  return blocks.map((block) => ({ kind: block.kind, spans: spansOf(block.text) }));
}

function spansOf(text) {
  return text
    .split("**")
    .map((part, i) => ({ text: part, strong: i % 2 === 1 }))
    .filter((span) => span.text);
}
