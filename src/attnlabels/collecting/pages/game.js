// The pages of a study: consent, what to do, rounds, the end.

import { element, elementsOf, show } from "./elements.js";
import { nextFrame } from "./frames.js";
import { look } from "./look.js";
import { paint } from "./paint.js";
import { peek } from "./peek.js";
import { Outbox, agree, get, getImage, insist, post, Refusal } from "./server.js";
import { View } from "./view.js";
import { onTaken, takeOver } from "./windows.js";
import { fill } from "./words.js";

const place = document.querySelector("#place");
const live = document.querySelector("#live");
const notice = document.querySelector("#notice");
const progress = document.querySelector("#progress");
const outbox = new Outbox("round");
const TOLD_SECONDS = [5, 3, 1]; // before the end, to who listens
const N_GUESSES = 3; // of the partner's names, so many are shown

let start; // what the server told to begin with
let taken = () => {}; // gives up what goes on in this window

const say = (name, values) => fill(start.texts[name], values);
const named = (label) => start.texts.classes[label] ?? label.replaceAll("_", " ");

function button(text, onclick, attributes = {}) {
  return element("button", { type: "button", onclick, ...attributes }, text);
}

/** Buttons, each a text, a value and a class: a row of them, and the value of the one pressed. */
function choice(buttons) {
  let row;
  const chosen = new Promise((resolve) => {
    taken = () => resolve("taken");
    const made = buttons.map(([text, value, kind], i) =>
      button(text, () => resolve(value), { class: kind, "data-focus": i === 0 }),
    );
    row = element("div", { class: "buttons" }, ...made);
  });
  return { row, chosen };
}

/** A panel of `children` above buttons; the value of the one that is pressed. */
function choose(children, buttons) {
  const { row, chosen } = choice(buttons);
  show(place, element("section", { class: "panel" }, ...children, row));
  return chosen;
}

/** Tells of a server that does not answer, or cannot store, for as long as that lasts. */
function waiting(refusal) {
  if (refusal === null) notice.textContent = "";
  else if (refusal.status === 507) notice.textContent = `${say("full")} ${say("unsent")}`;
  else if (refusal.status !== 429) notice.textContent = `${say("unreachable")} ${say("unsent")}`;
}

async function consent() {
  const code = element("input", { id: "code", autocomplete: "off", autocapitalize: "off" });
  const asked = start.join ? element("label", {}, say("join_code"), code) : null;
  const error = element("p", { class: "error", role: "alert" });
  const text = elementsOf(start.consent.text);
  for (;;) {
    const agreed = await choose(
      [element("div", { tabindex: "-1", "data-focus": true }, ...text), asked, error].filter(Boolean),
      [
        [say("agree"), true, "main"],
        [say("decline"), false, ""],
      ],
    );
    if (agreed === "taken") continue;
    if (!agreed) return false;
    try {
      start.participant = (await agree(start, { code, line: error, waiting })).participant;
      return true;
    } catch (refusal) {
      if (refusal.status === 409) window.location.reload();
      error.textContent = refusal.message;
    }
  }
}

/** What to do, and a button to begin; resolves to what was chosen. */
async function introduce() {
  const lines = [say(`intro_${start.task}`)];
  if (start.task === "paint") lines.push(say(start.partner ? "intro_partner" : "intro_alone"));
  lines.push(say("intro_keys"));
  if (start.practice) lines.push(say("practice_first", { practice: start.practice }));
  return choose(
    [element("h1", {}, start.texts.title), ...lines.map((line) => element("p", {}, line))],
    [
      [say("start"), "go", "main"],
      [say("delete"), "delete", "quiet"],
    ],
  );
}

const images = {
  paint: (n) => getImage(`images/${n}`),
  peek: (n) => Promise.all([getImage(`images/${n}`), getImage(`images/${n}?blur=1`)]),
  look: (n, { levels }) =>
    Promise.all(
      Array.from({ length: levels + 1 }, (_, level) => getImage(`images/${n}?blur=${level}`)),
    ),
};
const tasks = { paint, peek, look };

/** One round, until what comes next is chosen; "taken" if another window took over. */
async function play(given) {
  progress.textContent = [
    given.kind === "practice" ? say("practice") : null,
    say("round", { left: given.left }),
    points(given.score),
  ]
    .filter(Boolean)
    .join(" · ");
  const { settings } = given;
  const label = given.class ? say("image_label", { class: named(given.class) }) : say("image_label_plain");
  show(place, element("p", { class: "loading" }, say("loading")));
  const image = await insist(() => images[given.task](given.image, settings), waiting);
  const screen = new Screen(given);
  const view = new View(screen.stage, given, label);
  await nextFrame();
  try {
    const played = await tasks[given.task](view, given, image, screen);
    return played === null ? "taken" : await finish(given, played, screen);
  } finally {
    view.close();
    screen.close();
  }
}

const points = (score) => (start.partner ? say("points", { points: score }) : null);

/** The page of a round, and what the round tells it. */
class Screen {
  constructor(given) {
    this.given = given;
    this.partner = start.partner;
    this.bar = element("div", { class: "left" });
    this.stage = element("div", { class: "stage" });
    this.line = element("p", { class: "line", "aria-live": "polite" });
    this.stopped = new Promise((resolve) => (this.stop = resolve));
    taken = () => this.stop(null);
    this.skipping = button(say("skip"), () => this.leave(), { hidden: !given.settings.skip });
    this.told = new Set();
    this.onKey = (event) => {
      if (event.key === "Escape" && !this.skipping.hidden) this.leave();
    };
    window.addEventListener("keydown", this.onKey);
    this.outcome = "skipped";
    const task = say(`${given.task}_this`, { class: named(given.class) });
    this.title = element("h1", { class: "task" }, task);
    this.foot = element("div", { class: "foot" }, this.line, this.skipping);
    const time = element("div", { class: "time", role: "presentation" }, this.bar);
    show(place, this.title, time, this.stage, this.foot);
    this.line.textContent = this.first(given);
    live.textContent = task;
  }

  first({ task, settings }) {
    if (task === "paint") return say("press_first");
    return task === "peek" ? say("clicks_left", { clicks: settings.clicks }) : "";
  }

  leave() {
    this.stop(this.outcome);
  }

  began() {
    if (this.given.task === "paint") this.line.textContent = this.partner ? say("partner_waits") : "";
  }

  left(share, seconds) {
    this.bar.style.transform = `scaleX(${share})`;
    const now = TOLD_SECONDS.find((each) => Math.ceil(seconds) === each);
    if (now && !this.told.has(now)) {
      this.told.add(now);
      live.textContent = say("time_left", { seconds: now });
    }
  }

  guessed(names) {
    const shown = names.slice(0, N_GUESSES).map(named).join(", ");
    this.line.textContent = say("partner_thinks", { names: shown });
  }

  clicked(left) {
    this.line.textContent = say("clicks_left", { clicks: left });
    this.outcome = "done"; // what was seen is kept, also of who has seen enough
    this.skipping.hidden = false;
    this.skipping.textContent = say("next");
  }

  /** The round is over and on its way. */
  rest() {
    this.close();
    this.foot.replaceChildren();
  }

  /** What came of the round, above its image; the value of the button that is pressed. */
  result(told, buttons) {
    const { row, chosen } = choice(buttons);
    this.title.id = "outcome";
    this.title.textContent = live.textContent = told;
    this.foot.replaceChildren(row);
    row.firstChild.focus({ preventScroll: true });
    return chosen;
  }

  close() {
    window.removeEventListener("keydown", this.onKey);
  }
}

/** What to tell of rounds that can never be stored. */
const refusals = () => [...new Set(outbox.refused)].map((why) => say("refused", { why }));

/** Sends what an earlier page left; what was refused of it is told. */
async function sendRest() {
  await outbox.flush(waiting);
  if (outbox.refused.length === 0) return;
  const lines = refusals().map((each) => element("p", { role: "alert" }, each));
  await choose(lines, [[say("next"), "go", "main"]]);
  outbox.forget();
}

/** Sends a finished round, however long that takes, and says how it went below the image. */
async function finish(given, played, screen) {
  outbox.add({ round: given.round, ...played });
  screen.rest();
  const answer = await outbox.flush(waiting);
  const lost = played.outcome === "timeout" && start.partner;
  const told = outbox.refused.length ? refusals() : [say(lost ? "timeout_partner" : played.outcome)];
  outbox.forget();
  if (played.outcome === "recognised" && answer) told.push(points(Math.round(answer.score)));
  return screen.result(told.join(" "), [
    [say("next"), "go", "main"],
    [say("delete"), "delete", "quiet"],
  ]);
}

async function end({ score, board }) {
  progress.textContent = "";
  const rows = board.map(({ place: rank, score: told, you }) =>
    element("li", { value: rank, class: you ? "you" : null },
      `${say(you ? "board_you" : "board_other")} · ${say("points", { points: told })}`),
  );
  const scores = start.partner
    ? [element("p", {}, say("score", { points: score })), element("h2", {}, say("board")), element("ol", {}, ...rows)]
    : [];
  return choose(
    [element("h1", { tabindex: "-1" }, say("over")), ...scores],
    [[say("delete"), "delete", "quiet"]],
  );
}

/** Asks again, and deletes; whether it did. */
async function remove() {
  const sure = await choose(
    [element("p", {}, say("delete_sure"))],
    [
      [say("delete_no"), false, "main"],
      [say("delete_yes"), true, ""],
    ],
  );
  if (sure !== true) return false;
  outbox.clear();
  await insist(() => post("delete", {}), waiting);
  return true;
}

function close(name) {
  progress.textContent = "";
  show(place, element("section", { class: "panel" }, element("p", { tabindex: "-1", "data-focus": true }, say(name))));
}

/** Rounds until there are no more; resolves to "deleted" or "taken". */
async function rounds() {
  for (let chosen = await introduce(); ; ) {
    if (chosen === "taken") return chosen;
    if (chosen === "delete") {
      if (await remove()) return "deleted";
      chosen = await introduce();
      continue;
    }
    const given = await insist(() => post("next", {}), waiting);
    if (given.over) {
      chosen = await end(given);
      continue;
    }
    chosen = await play(given);
  }
}

/** Another window took over: rest until this one is to go on. */
async function rest() {
  for (let chosen = "taken"; chosen === "taken"; ) {
    chosen = await choose([element("p", {}, say("elsewhere"))], [[say("here"), "here", "main"]]);
  }
}

async function main() {
  start = await insist(() => get("start.json"));
  document.documentElement.lang = start.texts.language;
  document.title = document.querySelector("#title").textContent = start.texts.title;
  takeOver();
  onTaken(() => taken());
  if (start.participant === null && !(await consent())) {
    close("declined");
    return;
  }
  await sendRest();
  for (;;) {
    if ((await rounds()) === "deleted") {
      close("deleted");
      return;
    }
    await rest();
    takeOver();
    await sendRest();
  }
}

main().catch((error) => {
  const why = error instanceof Refusal ? error.message : String(error);
  if (!(error instanceof Refusal)) console.error(error);
  const texts = start?.texts ?? { failed: "{why}", again: "↻" };
  const again = button(texts.again, () => window.location.reload(), { class: "main", "data-focus": true });
  show(place, element("section", { class: "panel", role: "alert" },
    element("p", {}, fill(texts.failed, { why })), element("div", { class: "buttons" }, again)));
});
