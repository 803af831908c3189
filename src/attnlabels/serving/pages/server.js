// What a page asks of its server, and the finished rounds that it keeps until the server has them.

const TOKEN = document.querySelector("meta[name=token]").content;
export const STUDY = `attnlabels:${TOKEN.slice(0, 12)}`; // begins the keys of this study's storage
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;

/** What the server refused: its status and reason; status 0 where it did not answer. */
export class Refusal extends Error {
  constructor(status, why, retryMs) {
    super(why);
    this.status = status;
    this.retryMs = retryMs;
  }

  /** Whether the same request may be taken later. */
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", credentials: "same-origin", ...options });
  } catch (error) {
    throw new Refusal(0, String(error.message ?? error));
  }
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    const after = Number(response.headers.get("retry-after"));
    throw new Refusal(response.status, told.error ?? `status ${response.status}`, after * 1000);
  }
  return response;
}

/** JSON from GET `path`, relative to the page: a reverse proxy may have it anywhere. */
export async function get(path) {
  return (await ask(path)).json();
}

/** The answer, JSON, to POST api/`name`. */
export async function post(name, body) {
  const headers = { "content-type": "application/json", "x-attnlabels": TOKEN };
  return (
    await ask(`api/${name}`, { method: "POST", headers, body: JSON.stringify(body) })
  ).json();
}

/** An image, decoded, so that it can be drawn in the very next frame. */
export async function getImage(path) {
  return createImageBitmap(await (await ask(path)).blob());
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

/** Finished rounds, or trials, on their way: in the browser's storage until the server has stored them. */
export class Outbox {
  /** Items are sent to api/`name` and known by their `field`. */
  constructor(name, { field = "round", storage = window.localStorage } = {}) {
    this.name = name;
    this.field = field;
    this.key = `${STUDY}:${name}`;
    this.storage = storage;
    this.unkept = []; // where the browser keeps nothing, or no more
  }

  get all() {
    return [...read(this.storage, this.key), ...this.unkept];
  }

  add(body) {
    try {
      this.storage.setItem(this.key, JSON.stringify([...read(this.storage, this.key), body]));
    } catch {
      this.unkept.push(body);
    }
  }

  /** Sends everything, the oldest first; the last answer. What can never be stored is let go. */
  async flush(waiting) {
    let answer = null;
    for (let [body] = this.all; body !== undefined; [body] = this.all) {
      try {
        answer = await insist(() => post(this.name, body), waiting);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        console.warn(`not stored: ${error.message}`);
      }
      this.remove(body);
    }
    return answer;
  }

  remove(body) {
    const other = (each) => each[this.field] !== body[this.field];
    this.unkept = this.unkept.filter(other);
    const kept = read(this.storage, this.key).filter(other);
    try {
      if (kept.length) this.storage.setItem(this.key, JSON.stringify(kept));
      else this.storage.removeItem(this.key);
    } catch {
      // it is sent again, and stored once
    }
  }

  clear() {
    this.unkept = [];
    try {
      this.storage.removeItem(this.key);
    } catch {
      // as above
    }
  }
}

function read(storage, key) {
  try {
    return JSON.parse(storage.getItem(key) ?? "[]");
  } catch {
    return [];
  }
}
