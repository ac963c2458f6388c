// What the kernel shows, put together: traits that came whole, and changes of them that came since.
// The other half is `widgets/wire.py`.

export function applied(value, change) {
  if (change[0] === "=") return change[1];
  const [, inner, rest] = change;
  if (Array.isArray(rest)) { // a dict, and its keys that are gone
    const made = { ...value };
    for (const key of rest) delete made[key];
    for (const [key, one] of Object.entries(inner)) made[key] = applied(made[key], one);
    return made;
  }
  const made = (value ?? []).slice(0, rest);
  for (const [key, one] of Object.entries(inner)) made[Number(key)] = applied(made[Number(key)], one);
  return made;
}

// Each change of a trait has a number, one more than the last; `sent` says which number a trait that
// came whole had. A change that comes too early waits, one that is in already is nothing.
// `changed(key)` hears what is no longer as it was; `seen(numbers)` tells the kernel what is here:
// at the start, before which changes were not heard, and when one that was sent never came.
export function wire(model, changed, seen, pause = 1500) {
  const known = new Map(); // key -> {at, value, early}
  const numbers = () => model.get("sent") ?? {};
  const of = (key) => {
    if (!known.has(key)) known.set(key, { at: numbers()[key] ?? 0, value: model.get(key), early: new Map(), timer: 0 });
    return known.get(key);
  };
  const drain = (key, one) => {
    let moved = false;
    for (const number of [...one.early.keys()]) if (number <= one.at) one.early.delete(number);
    while (one.early.has(one.at + 1)) {
      one.at += 1;
      one.value = applied(one.value, one.early.get(one.at));
      one.early.delete(one.at);
      moved = true;
    }
    clearTimeout(one.timer);
    if (one.early.size) one.timer = setTimeout(() => seen({ ...numbers(), [key]: one.at }), pause);
    return moved;
  };
  const heard = (message) => {
    for (const [key, [number, change]] of Object.entries(message?.changes ?? {})) {
      const one = of(key);
      one.early.set(number, change);
      if (drain(key, one)) changed(key);
    }
  };
  // A whole trait and its number come in one message; it stands for all changes up to the number.
  const whole = () => {
    for (const [key, number] of Object.entries(numbers())) {
      const one = of(key);
      if (number <= one.at) continue; // another trait came, or this one is older than what is here
      one.at = number;
      one.value = model.get(key);
      drain(key, one);
      changed(key);
    }
  };
  Object.keys(numbers()).forEach(of);
  model.on("msg:custom", heard);
  model.on("change:sent", whole);
  seen(numbers());
  const get = (key) => (known.has(key) ? known.get(key).value : model.get(key));
  return { get, stop() { model.off("msg:custom", heard); model.off("change:sent", whole); known.forEach((one) => clearTimeout(one.timer)); } };
}
