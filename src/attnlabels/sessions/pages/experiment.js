// The experiment: consent, what to do, practice, blocks of trials; from the consent on a timeline of jsPsych.

import { RapidCategorisation } from "./categorisation.js";
import { element, elementsOf, show } from "./elements.js";
import { Outbox, STUDY, Refusal, agree, get, getImage, insist, post } from "./server.js";
import { onTaken, takeOver } from "./windows.js";
import { fill } from "./words.js";

const place = document.querySelector("#place");
const foot = document.querySelector("#foot");
const notice = document.querySelector("#notice");
const outbox = new Outbox("trial", { field: "id" });
const BEGUN = `${STUDY}:begun`; // the trial that is being shown
const HANDS = ["left", "right", "both", "unsaid"];
const ROWS = "1234567890qwertyuiopasdfghjklzxcvbnm"; // of a keyboard, from left to right
const SPACE = { type: jsPsychHtmlKeyboardResponse, choices: [" "] };

let start; // what the server told to begin with
let sending = null; // what the outbox is at

const say = (name, values) => fill(start.texts[name], values);
const named = (label) => start.texts.classes[label] ?? label.replaceAll("_", " ");

function panel(title, lines, ...after) {
  const heading = title && element("h1", {}, title);
  const paragraphs = lines.map((line) => element("p", {}, line));
  return element("section", { class: "panel" }, heading || null, ...paragraphs, ...after);
}

const toGoOn = () => element("p", { class: "go" }, say("space"));

function button(text, onclick, kind = "") {
  return element("button", { type: "button", class: kind, onclick }, text);
}

/** The last page, after which nothing is shown or kept. */
function end(...children) {
  document.body.classList.remove("running");
  foot.hidden = true;
  show(place, ...children);
}

/** Tells of a server that does not answer, or cannot store, for as long as that lasts. */
function waiting(refusal) {
  const away = refusal !== null && refusal.status !== 429;
  notice.textContent = away && !document.body.classList.contains("running") ? say("unreachable") : "";
}

function send() {
  sending ??= outbox.flush(waiting).finally(() => (sending = null));
  return sending;
}

/** What is stored beside the outbox: which trial is being shown, or none. */
function note(id) {
  try {
    if (id === null) localStorage.removeItem(BEGUN);
    else localStorage.setItem(BEGUN, id);
  } catch {
    // a trial that is left within is then shown again
  }
}

/** A trial that had begun when the page was left was seen: it is told of, and not shown again. */
function tellInterrupted() {
  let left = null;
  try {
    left = localStorage.getItem(BEGUN);
  } catch {
    return;
  }
  if (left !== null && !outbox.all.some((each) => each.id === left)) {
    outbox.add({ id: left, outcome: "interrupted" });
  }
  note(null);
}

function askConsent() {
  const code = element("input", { id: "code", autocomplete: "off", autocapitalize: "off" });
  const error = element("p", { class: "error", role: "alert" });
  const asked = start.join ? element("label", {}, say("join_code"), code) : null;
  return new Promise((resolve) => {
    const yes = async () => {
      for (const each of buttons) each.disabled = true; // a second click would be a second participant
      try {
        await agree(start, { code, line: error, waiting });
        resolve(true);
      } catch (refusal) {
        if (refusal.status === 409) window.location.reload();
        error.textContent = refusal.message;
        for (const each of buttons) each.disabled = false;
      }
    };
    const buttons = [button(say("agree"), yes, "main"), button(say("decline"), () => resolve(false))];
    buttons[0].id = "agree";
    buttons[1].id = "decline";
    const row = element("div", { class: "buttons" }, ...buttons);
    const text = elementsOf(start.consent.text);
    show(place, element("section", { class: "panel" }, ...text, asked, error, row));
  });
}

/** Loads and decodes the pictures of a block, so that nothing is waited for while it runs. */
class Loading {
  static info = {
    name: "loading",
    version: "1.0.0",
    parameters: { load: { type: jsPsychModule.ParameterType.FUNCTION, default: undefined } },
    data: {},
  };

  constructor(jsPsych) {
    this.jsPsych = jsPsych;
  }

  trial(display, { load }) {
    display.replaceChildren(panel("", [say("loading")]));
    load().then(() => this.jsPsych.finishTrial({}), failed);
  }
}

/** What the timeline of a participant is made of. */
class Session {
  constructor({ session, settings }) {
    Object.assign(this, { session, settings, pictures: new Map() });
    this.classes = Object.fromEntries(Object.entries(session.keys).map(([name, key]) => [key, name]));
    this.over = session.over; // trials of the experiment
  }

  timeline() {
    const { trials, handedness } = this.session; // trials that are left
    const left = [...new Set(trials.map((each) => each.block))];
    const blocks = left.map((block) => this.block(block, trials.filter((each) => each.block === block)));
    const whole = trials.length > 0 && this.settings.fullscreen;
    return [
      ...(handedness ? [] : [this.handedness()]),
      ...(trials.length ? [this.instructions()] : []),
      ...(whole ? [this.fullscreen()] : []),
      ...blocks,
      ...(whole ? [{ type: jsPsychFullscreen, fullscreen_mode: false, delay_after: 0 }] : []),
    ];
  }

  handedness() {
    return {
      type: jsPsychHtmlButtonResponse,
      stimulus: panel(say("hand_title"), []).outerHTML,
      choices: HANDS.map((hand) => element("p", {}, say(`hand_${hand}`)).innerHTML),
      on_finish: ({ response }) =>
        insist(() => post("handedness", { handedness: HANDS[response] }), waiting).catch(failed),
    };
  }

  legend() {
    const keys = Object.keys(this.classes).sort((one, other) => ROWS.indexOf(one) - ROWS.indexOf(other));
    const items = keys.map((key) => element("li", {}, element("kbd", {}, key), named(this.classes[key])));
    return element("ul", { class: "keys" }, ...items);
  }

  instructions() {
    const values = { trials: this.session.images, blocks: this.session.blocks };
    const lines = [1, 2, 3, 4].map((number) => say(`task_${number}`, values));
    return { ...SPACE, stimulus: panel(say("task_title"), lines, this.legend(), toGoOn()).outerHTML };
  }

  fullscreen() {
    const message = panel("", [say("fullscreen")]).outerHTML;
    return { type: jsPsychFullscreen, message, button_label: say("fullscreen_button"), delay_after: 800 };
  }

  block(block, rows) {
    const values = { block, blocks: this.session.blocks, trials: rows.length };
    const kind = block ? "block" : "practice";
    const before = panel(say(`${kind}_title`, values), [say(`${kind}_1`, values)], this.legend(), toGoOn());
    return {
      timeline: [
        { type: Loading, load: () => this.load(rows) },
        { ...SPACE, stimulus: before.outerHTML },
        {
          timeline: rows.map((row) => this.trial(row)),
          on_timeline_start: () => run(true),
          on_timeline_finish: () => run(false),
        },
        ...(block ? [{ ...SPACE, stimulus: () => this.result(values).outerHTML }] : []),
      ],
    };
  }

  load(rows) {
    const one = async ({ picture }) => {
      this.pictures.set(picture, await insist(() => getImage(`pictures/${picture}`), waiting));
    };
    return Promise.all(rows.map(one));
  }

  trial(row) {
    const { stimulus_ms, answer_ms, message_ms, scale } = this.settings;
    const { right, wrong, too_slow } = start.texts;
    return {
      ...{ type: RapidCategorisation, stimulus_ms, answer_ms, message_ms, scale },
      picture: () => this.pictures.get(row.picture),
      keys: this.classes,
      right: row.class,
      feedback: row.kind === "practice",
      fixation_ms: row.fixation_ms,
      texts: { right, wrong, too_slow },
      on_start: () => note(row.id),
      on_finish: (data) => this.keep(row, data),
    };
  }

  keep(row, { trial_type, plugin_version, response, correct, rt, ...shown }) {
    const answered = shown.outcome === "answered";
    if (row.kind === "trial") this.over.push({ block: row.block, correct, answered, rt_ms: rt });
    outbox.add({ ...shown, id: row.id, rt_ms: rt });
    note(null);
    send().catch(failed);
  }

  result(values) {
    const own = this.over.filter((each) => each.block === values.block);
    const answered = own.filter((each) => each.answered);
    const mean = (of, unit) => {
      const sum = answered.reduce((total, each) => total + of(each), 0);
      return answered.length ? `${Math.round(sum / answered.length)} ${unit}` : "–";
    };
    const figures = {
      result_accuracy: mean((each) => 100 * Number(each.correct), "%"),
      result_time: mean((each) => each.rt_ms, "ms"),
      result_late: `${own.length - answered.length}`,
    };
    const told = Object.entries(figures).map(([name, figure]) =>
      element("div", {}, element("dt", {}, say(name)), element("dd", {}, figure)),
    );
    const rest = element("p", {}, say("result_rest"));
    return panel(say("result_title", values), [], element("dl", { class: "figures" }, ...told), rest, toGoOn());
  }
}

/** Between trials of a block there is nothing on the page but them. */
function run(running) {
  document.body.classList.toggle("running", running);
  foot.hidden = running;
  if (running) notice.textContent = "";
}

function failed(error) {
  console.warn(error);
  const why = error instanceof Refusal ? error.message : String(error);
  window.location.replace(`${window.location.pathname}?${new URLSearchParams({ failed: why })}`);
}

/** jsPsych hears keys where its pages are: a click beside them is not to make it deaf. */
function listenEverywhere() {
  document.addEventListener("click", ({ target }) => {
    if (!target.closest("button, input, dialog")) place.focus();
  });
}

function offerDeletion() {
  const sure = document.querySelector("#sure");
  const [yes, no] = sure.querySelectorAll("button");
  sure.querySelector("p").textContent = say("delete_sure");
  yes.textContent = say("delete_yes");
  no.textContent = say("delete_no");
  sure.onclose = async () => {
    place.focus();
    if (sure.returnValue !== "yes") return;
    outbox.clear();
    note(null);
    await insist(() => post("delete", {}), waiting).then(() => leaveFor("deleted"), failed);
  };
  const asking = document.querySelector("#delete");
  asking.textContent = say("delete");
  asking.onclick = () => sure.showModal();
  foot.hidden = false;
}

/** The page anew, to say one thing: whatever was going on here is over. */
function leaveFor(page) {
  window.location.replace(`${window.location.pathname}?${page}`);
}

async function finish() {
  show(place, panel("", [say("sending")]));
  await send();
  const leave = () => {
    outbox.forget();
    return post("leave", {}).then(() => leaveFor(""), failed);
  };
  const next = button(say("next"), leave, "main");
  next.id = "next";
  const { refused } = outbox;
  const values = { count: refused.length, why: [...new Set(refused)].join("; ") };
  const told = say(refused.length ? "thanks_refused" : "thanks", values);
  show(place, panel(say("thanks_title"), [told], element("div", { class: "buttons" }, next)));
}

/** One sentence, and a button that begins the page anew. */
function stopped(text, again) {
  const anew = button(again, () => leaveFor(""), "main");
  return panel("", [text], element("div", { class: "buttons" }, anew));
}

const PAGES = {
  deleted: () => panel("", [say("deleted")]),
  elsewhere: () => stopped(say("elsewhere"), say("here")),
  failed: (why) => stopped(say("failed", { why }), say("again")),
};

async function main() {
  start = await insist(() => get("start.json"));
  document.title = start.texts.title;
  document.documentElement.lang = start.texts.language;
  for (const [name, why] of new URLSearchParams(window.location.search)) {
    if (PAGES[name]) return end(PAGES[name](why));
  }
  onTaken(() => leaveFor("elsewhere"));
  takeOver();
  if (!start.session && !(await askConsent())) return end(panel("", [say("declined")]));
  tellInterrupted();
  await send();
  start = await insist(() => get("start.json"));
  if (!start.session) throw new Refusal(401, "this browser keeps no cookies; allow them for this page");
  offerDeletion();
  show(place);
  listenEverywhere();
  const jsPsych = initJsPsych({ display_element: place, use_webaudio: false });
  const timeline = new Session(start).timeline();
  if (timeline.length) await jsPsych.run(timeline);
  await finish();
}

main().catch(failed);
