// Where an image stands on the page, and where in the image a pointer is. Pure.

/**
 * CSS pixels an image pixel, so that an image of `width` × `height` fits into `box` and keeps its
 * shape. Large ones shrink; one whose longer side would have less than `least` is enlarged to it.
 */
export function scaleFor(width, height, box, least) {
  const most = Math.max(1, least / Math.max(width, height));
  return Math.min(box.width / width, box.height / height, most);
}

/**
 * The place in image pixels, 0 at the left and upper edges, of a place in the viewport. `rect` is
 * what the page tells of the image's box *now*: so it is exact at any zoom, transform and density.
 */
export function toImage(clientX, clientY, rect, width, height) {
  return {
    x: ((clientX - rect.left) * width) / rect.width,
    y: ((clientY - rect.top) * height) / rect.height,
  };
}

export function isInside({ x, y }, width, height) {
  return x >= 0 && y >= 0 && x <= width && y <= height;
}

export const rounded = (value, digits) => Math.round(value * 10 ** digits) / 10 ** digits;
