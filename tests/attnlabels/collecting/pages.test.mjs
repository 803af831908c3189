// The pages without a browser, by `node --test`: geometry, the brush, frames, texts, what is sent.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Brush } from "./brush.js";
import { FrameCount } from "./frames.js";
import { isInside, rounded, scaleFor, toImage } from "./geometry.js";
import { blocksOf, fill } from "./words.js";

test("large images shrink to fit, in their shape", () => {
  assert.equal(scaleFor(4000, 3000, { width: 1000, height: 1000 }, 384), 0.25);
  assert.equal(scaleFor(3000, 4000, { width: 1000, height: 1000 }, 384), 0.25);
});

test("small images are enlarged to the least size and not beyond the place", () => {
  assert.equal(scaleFor(48, 48, { width: 1000, height: 1000 }, 384), 8);
  assert.equal(scaleFor(48, 24, { width: 1000, height: 1000 }, 384), 8);
  assert.equal(scaleFor(48, 48, { width: 240, height: 1000 }, 384), 5);
});

test("others are shown pixel by pixel", () => {
  assert.equal(scaleFor(500, 400, { width: 1000, height: 1000 }, 384), 1);
});

for (const scale of [0.5, 1, 1.5, 2, 1 / 3]) {
  test(`places are exact at scale ${scale}`, () => {
    const rect = { left: 17.25, top: -3.5, width: 200 * scale, height: 100 * scale };
    for (const [x, y] of [[0, 0], [200, 100], [13.5, 77.25]]) {
      const found = toImage(rect.left + x * scale, rect.top + y * scale, rect, 200, 100);
      assert.ok(Math.hypot(found.x - x, found.y - y) < 1e-9);
    }
  });
}

test("the edges belong to the image", () => {
  assert.ok(isInside({ x: 0, y: 0 }, 10, 20) && isInside({ x: 10, y: 20 }, 10, 20));
  assert.ok(!isInside({ x: -0.01, y: 0 }, 10, 20) && !isInside({ x: 0, y: 20.01 }, 10, 20));
  assert.equal(rounded(1.2345, 2), 1.23);
});

const brushOf = (limit = 7000) => new Brush({ step: 7, period: 50, limit });

/** The bubbles until `now`, asked for in frames of `frame` ms. */
function paint(brush, now, frame) {
  const all = [];
  for (let t = 0; t <= now; t += frame) all.push(...brush.advance(t));
  return all;
}

test("a bubble comes with the press and then one each period, while the pointer moves", () => {
  const brush = brushOf();
  brush.press(10, 10);
  assert.deepEqual(brush.bubbles, [[0, 10, 10]]);
  brush.move(20, 12, 10);
  brush.move(70, 15, 10);
  assert.deepEqual(paint(brush, 200, 10), [[50, 12, 10], [100, 15, 10]]);
});

test("fast strokes lag behind by steps of half a bubble, straight to the pointer", () => {
  const brush = brushOf();
  brush.press(0, 0);
  brush.move(1, 30, 40);
  const bubbles = paint(brush, 500, 16.7);
  assert.equal(bubbles.length, 8);
  let before = [0, 0, 0];
  for (const [i, bubble] of bubbles.entries()) {
    const far = Math.hypot(bubble[1] - before[1], bubble[2] - before[2]);
    assert.ok(far <= 7 + 1e-9);
    if (i < 7) assert.ok(Math.abs(far - 7) < 1e-9);
    assert.ok(Math.abs(bubble[1] * 4 - bubble[2] * 3) < 1e-9);
    before = bubble;
  }
  assert.deepEqual(bubbles.at(-1), [400, 30, 40]);
});

test("late frames lose no bubble and change none", () => {
  const strokes = (brush) => {
    brush.press(0, 0);
    for (let t = 8; t < 900; t += 8) brush.move(t, 40 * Math.sin(t / 90), t / 12);
  };
  const [smooth, late] = [brushOf(), brushOf()];
  strokes(smooth);
  strokes(late);
  assert.deepEqual(paint(smooth, 1000, 4), paint(late, 1000, 250));
});

test("off the image nothing is painted, and it goes on from where it was", () => {
  const brush = brushOf();
  brush.press(0, 0);
  brush.move(10);
  assert.deepEqual(paint(brush, 300, 10), []);
  brush.move(310, 7, 0);
  assert.deepEqual(brush.advance(400), [[350, 7, 0]]);
});

test("after the time there is no bubble", () => {
  const brush = brushOf(100);
  brush.press(0, 0);
  brush.move(1, 100, 0);
  assert.equal(brush.advance(5000).length, 2);
  assert.equal(brush.advance(9000).length, 0);
});

test("frames are counted by their stamps", () => {
  const count = new FrameCount();
  for (const stamp of [0, 16, 32, 48, 80, 96, 112]) count.add(stamp);
  assert.deepEqual(count.summary(), { frames: 7, late: 1, period_ms: 16 });
  assert.deepEqual(new FrameCount().summary(), { frames: 0, late: 0, period_ms: 0 });
});

test("sentences are filled with text, whatever it is", () => {
  assert.equal(fill("Paint the {class}, {left} to go", { class: "$& {left}", left: 3 }), "Paint the $& {left}, 3 to go");
  assert.equal(fill("{unknown} {toString}", {}), "{unknown} {toString}");
});

test("a consent text is headings, quotes, items and paragraphs of spans", () => {
  const text = "# Title\n\n> Note **this**\n> well.\n\nOne\ntwo.\n- a\n- b\n\n<script>alert(1)</script>";
  assert.deepEqual(
    blocksOf(text).map(({ kind, spans }) => [kind, spans.map((span) => span.text).join("|")]),
    [
      ["h1", "Title"],
      ["quote", "Note |this| well."],
      ["p", "One two."],
      ["item", "a"],
      ["item", "b"],
      ["p", "<script>alert(1)</script>"],
    ],
  );
  assert.deepEqual(blocksOf("a **b**")[0].spans.map((span) => span.strong), [false, true]);
});

/** An outbox before a server that answers so, one after the other; what it was sent; what the page kept. */
async function outboxBefore(...answers) {
  globalThis.document ??= { querySelector: () => ({ content: "0123456789abcdef" }) };
  const { Outbox } = await import("./server.js");
  const items = new Map();
  const storage = {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, value),
    removeItem: (key) => items.delete(key),
  };
  const sent = [];
  globalThis.fetch = async (path, { body }) => {
    sent.push(JSON.parse(body).round);
    const [status, text] = answers.shift();
    if (status === 0) throw new TypeError("no answer");
    return new Response(text, { status });
  };
  return { outbox: new Outbox("round", { storage }), sent, items };
}

const told = (why) => JSON.stringify({ error: why });

test("what is refused for good is let go, counted and told", async () => {
  const { outbox, sent, items } = await outboxBefore([404, told("gone")], [200, '{"score":3}'], [400, told("odd")]);
  for (const round of ["a", "b"]) outbox.add({ round });
  assert.deepEqual([await outbox.flush(), outbox.all, outbox.refused], [{ score: 3 }, [], ["gone"]]);
  outbox.add({ round: "c" });
  assert.deepEqual([await outbox.flush(), outbox.all, outbox.refused], [null, [], ["gone", "odd"]]);
  assert.deepEqual(sent, ["a", "b", "c"]);
  assert.equal(items.size, 1); // the page may be loaded anew before it is told
  outbox.forget();
  assert.deepEqual([outbox.refused, items.size], [[], 0]);
  outbox.add({ round: "d" });
  outbox.clear();
  assert.deepEqual([outbox.all, items.size], [[], 0]);
});

for (const [status, text, why] of [
  [403, told("of another page"), "of another page"],
  [421, told("not called so"), "not called so"],
  [404, "<h1>nginx</h1>", "status 404"],
  [413, "<h1>nginx</h1>", "status 413"],
  [400, "null", "status 400"],
]) {
  test(`what may yet be stored stays: ${status} ${why}`, async () => {
    const { outbox } = await outboxBefore([status, text], [200, "{}"]);
    outbox.add({ round: "a" });
    await assert.rejects(outbox.flush(), { message: why, status });
    assert.deepEqual([outbox.all, outbox.refused], [[{ round: "a" }], []]);
    await outbox.flush();
    assert.deepEqual(outbox.all, []);
  });
}

test("what does not come whole is sent again", async (t) => {
  t.mock.method(globalThis, "setTimeout", (resume) => queueMicrotask(resume));
  const { outbox, sent } = await outboxBefore(
    [0], [408, told("not to its end")], [429, told("too many")], [507, told("full")], [200, "<h1>Log in</h1>"], [200, "{}"],
  );
  outbox.add({ round: "a" });
  const waited = [];
  await outbox.flush((refusal) => waited.push(refusal && refusal.status));
  assert.deepEqual(waited, [0, 408, 429, 507, 0, null]);
  assert.deepEqual([sent.length, outbox.all, outbox.refused], [6, [], []]);
});
