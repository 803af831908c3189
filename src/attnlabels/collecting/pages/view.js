// An image on a canvas: fitted to its place, drawn at the display's density, asked for places.

import { isInside, rounded, scaleFor, toImage } from "./geometry.js";

const MOST_PIXELS = 6e6; // of the canvas; beyond, it is drawn coarser than the display could

export class View {
  /** `place` holds the canvas; `given` is a round as the server hands it out. */
  constructor(place, given, label) {
    this.place = place;
    this.width = given.width;
    this.height = given.height;
    this.least = given.settings.least_shown_px;
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", label);
    this.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.frame = document.createElement("div");
    this.frame.className = "frame";
    this.frame.append(this.canvas);
    place.replaceChildren(this.frame);
    this.onResize = () => this.fit();
    window.addEventListener("resize", this.onResize);
    this.redraw = () => {};
    this.fit();
  }

  /** Fits the canvas to its place; what was drawn is drawn anew. */
  fit() {
    const box = { width: this.place.clientWidth, height: this.place.clientHeight };
    this.scale = scaleFor(this.width, this.height, box, this.least);
    const width = this.width * this.scale;
    const height = this.height * this.scale;
    const ratio = Math.min(window.devicePixelRatio, Math.sqrt(MOST_PIXELS / (width * height)));
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.max(1, Math.round(height * ratio));
    this.redraw();
  }

  /** The place of a pointer's event, in image pixels. */
  at(event) {
    const rect = this.canvas.getBoundingClientRect();
    return toImage(event.clientX, event.clientY, rect, this.width, this.height);
  }

  has(place) {
    return isInside(place, this.width, this.height);
  }

  /** An image of any size as a canvas of the view's own, to be drawn of without scaling. */
  layer(image) {
    const layer = document.createElement("canvas");
    layer.width = this.canvas.width;
    layer.height = this.canvas.height;
    const context = layer.getContext("2d", { alpha: false });
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, layer.width, layer.height);
    return layer;
  }

  /** From now on the context counts in image pixels. */
  inImagePixels() {
    const { width, height } = this.canvas;
    this.context.setTransform(width / this.width, 0, 0, height / this.height, 0, 0);
  }

  inOwnPixels() {
    this.context.setTransform(1, 0, 0, 1, 0, 0);
  }

  /** How the image is shown, as a round keeps it. */
  shown() {
    const rect = this.canvas.getBoundingClientRect();
    return {
      scale: rounded(rect.width / this.width, 5),
      ratio: rounded(window.devicePixelRatio, 4),
      shown_width: rounded(rect.width, 2),
      shown_height: rounded(rect.height, 2),
    };
  }

  close() {
    window.removeEventListener("resize", this.onResize);
    this.redraw = () => {};
  }
}

/** All places that an event of a pointer tells of: between frames a fast one has several. */
export function eventsIn(event) {
  const all = event.getCoalescedEvents?.() ?? [];
  return all.length ? all : [event];
}

/** When an event was, on the clock of frames; some browsers have another clock for events. */
export function timeOf(event) {
  const now = performance.now();
  return Math.abs(event.timeStamp - now) < 1000 ? event.timeStamp : now;
}
