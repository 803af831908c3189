// What a page asks of its server, and the finished rounds that it keeps until the server has them.

const TOKEN = document.querySelector("meta[name=token]").content;
export const STUDY = `attnlabels:${TOKEN.slice(0, 12)}`; // begins the keys of this study's storage
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const FOR_GOOD = [400, 401, 404, 409, 413]; // of what was sent, or of who sent it

/** What was refused: its status and reason; status 0 where there was no whole answer. */
export class Refusal extends Error {
  /** `own`: by the study's server, and not by a proxy before it. */
  constructor(status, why, { retryMs = 0, own = true } = {}) {
    super(why);
    Object.assign(this, { status, retryMs, own });
  }

  /** Whether the same request may be taken later. */
  get passes() {
    return [0, 408, 429].includes(this.status) || this.status >= 500;
  }

  /** Whether what was sent can never be stored. */
  get isFinal() {
    return this.own && FOR_GOOD.includes(this.status);
  }
}

/** What `read` makes of the answer. */
async function ask(path, options, read) {
  try {
    const response = await fetch(path, { cache: "no-store", credentials: "same-origin", ...options });
    if (response.ok) return await read(response);
    const told = await response.json().catch(() => ({}));
    const own = typeof told?.error === "string";
    const retryMs = 1000 * Number(response.headers.get("retry-after"));
    throw new Refusal(response.status, own ? told.error : `status ${response.status}`, { retryMs, own });
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(0, String(error.message ?? error)); // none, half of one, or a page of a gateway
  }
}

const json = (response) => response.json();

/** JSON from GET `path`, relative to the page: a reverse proxy may have it anywhere. */
export const get = (path) => ask(path, {}, json);

/** The answer, JSON, to POST api/`name`. */
export function post(name, body) {
  const headers = { "content-type": "application/json", "x-attnlabels": TOKEN };
  return ask(`api/${name}`, { method: "POST", headers, body: JSON.stringify(body) }, json);
}

/** An image, decoded, so that it can be drawn in the very next frame. */
export async function getImage(path) {
  return createImageBitmap(await ask(path, {}, (response) => response.blob()));
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** `attempt` until it is answered; `waiting` is told of each refusal that passes, and at the end of none. */
export async function insist(attempt, waiting = () => {}) {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    try {
      const answer = await attempt();
      waiting(null);
      return answer;
    } catch (error) {
      if (!(error instanceof Refusal) || !error.passes) throw error;
      waiting(error);
      await sleep(Math.max(wait, error.retryMs || 0));
    }
  }
}

/** Says that a person agrees; `line` tells of many wrong codes, `waiting` as in `insist`. */
export function agree({ consent, texts }, { code, line, waiting }) {
  const agreement = { consent: consent.version, language: texts.language };
  return insist(
    () => post("consent", { ...agreement, code: code.value || null }),
    (refusal) => {
      // that may take long: what stands in the field meanwhile is sent then
      line.textContent = refusal?.status === 429 ? refusal.message : "";
      waiting(refusal);
    },
  );
}

/** Finished rounds, or trials, on their way: in the browser's storage until the server has stored them. */
export class Outbox {
  /** Items are sent to api/`name` and known by their `field`. */
  constructor(name, { field = "round", storage = window.localStorage } = {}) {
    this.name = name;
    this.field = field;
    this.items = new Kept(storage, `${STUDY}:${name}`);
    this.lost = new Kept(storage, `${STUDY}:${name}:refused`);
  }

  get all() {
    return this.items.all;
  }

  /** Why items were refused for good, a reason each, until `forget`. */
  get refused() {
    return this.lost.all;
  }

  add(body) {
    this.items.add(body);
  }

  /** Sends everything, the oldest first; the last answer. What can never be stored is let go, and counted. */
  async flush(waiting) {
    let answer = null;
    for (let [body] = this.all; body !== undefined; [body] = this.all) {
      try {
        answer = await insist(() => post(this.name, body), waiting);
      } catch (error) {
        if (!error.isFinal) throw error; // what is refused may yet be stored: it stays
        console.warn(`not stored: ${error.message}`);
        answer = null;
        this.lost.add(error.message);
      }
      this.items.keepOnly((each) => each[this.field] !== body[this.field]);
    }
    return answer;
  }

  /** What was refused has been told. */
  forget() {
    this.lost.keepOnly(() => false);
  }

  clear() {
    this.items.keepOnly(() => false);
    this.forget();
  }
}

/** A list in the browser's storage or, where that keeps nothing, or no more, in the page. */
class Kept {
  constructor(storage, key) {
    Object.assign(this, { storage, key, unkept: [] });
  }

  get stored() {
    try {
      return JSON.parse(this.storage.getItem(this.key) ?? "[]");
    } catch {
      return [];
    }
  }

  get all() {
    return [...this.stored, ...this.unkept];
  }

  add(item) {
    try {
      this.storage.setItem(this.key, JSON.stringify([...this.stored, item]));
    } catch {
      this.unkept.push(item);
    }
  }

  keepOnly(wanted) {
    this.unkept = this.unkept.filter(wanted);
    const stored = this.stored.filter(wanted);
    try {
      if (stored.length) this.storage.setItem(this.key, JSON.stringify(stored));
      else this.storage.removeItem(this.key);
    } catch {
      // it is sent again, and stored once
    }
  }
}
