// One window of a browser at a time: the one that was opened last takes over from the others.

import { STUDY } from "./server.js";

const KEY = `${STUDY}:window`;
const own = crypto.getRandomValues(new Uint32Array(2)).join("-");

/** From here on the others rest. */
export function takeOver() {
  try {
    localStorage.setItem(KEY, own);
  } catch {
    // without storage the server alone sees to it that a round counts once
  }
}

/** `taken` is called when another window of the study takes over. */
export function onTaken(taken) {
  window.addEventListener("storage", (event) => {
    if (event.key === KEY && event.newValue !== null && event.newValue !== own) taken();
  });
}
