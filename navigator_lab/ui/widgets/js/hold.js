// What is drawn anew, once a frame. A section that is pressed waits for the release with what the
// kernel changed: the browser clicks only what was there all the while.
export function holding(draw, frame = requestAnimationFrame) {
  const waiting = new Set();
  const held = new Set();
  let asked = false;
  let pressed = null;
  const flush = () => {
    asked = false;
    const keys = [...waiting];
    waiting.clear();
    draw(keys);
  };
  // What the user does is drawn at once, under the pointer too.
  const later = (...keys) => {
    keys.forEach((key) => waiting.add(key));
    if (!asked) { asked = true; frame(flush); }
  };
  const release = () => {
    pressed = null;
    const keys = [...held];
    held.clear();
    if (keys.length) later(...keys);
  };
  return {
    later,
    told(...keys) {
      keys.filter((key) => key === pressed).forEach((key) => held.add(key));
      later(...keys.filter((key) => key !== pressed));
    },
    press(key) { release(); pressed = key; },
    release,
    get pressed() { return pressed; },
  };
}
