// The field that holds what is typed and not yet taken, or that is unfolded: nothing may replace it.
// One that is taken (Enter, a choice) or left is drawn anew like all else.
const FIELDS = "input[type=text], textarea, select";

// `listen(kinds, heard)` hears events inside of the panel; `done()` is called when what waited for
// the field may be drawn.
export function typing(listen, done) {
  let field = null;
  const hold = ({ target }) => { if (target.matches(FIELDS)) field = target; };
  const free = ({ target }) => { if (target === field) { field = null; setTimeout(done, 0); } };
  listen(["input", "compositionstart"], hold);
  listen(["pointerdown", "keydown"], (event) => { if (event.target.matches("select")) hold(event); }); // it may unfold
  listen(["change", "focusout"], free);
  return { get field() { return field?.isConnected ? field : null; } };
}

// What had the focus, as a function that gives it to what was drawn instead: in a text field, with the
// cursor and what was selected.
export function kept(was) {
  const text = "input[type=text], textarea";
  const place = was?.matches(text) ? [was.selectionStart, was.selectionEnd, was.selectionDirection] : null;
  return (now) => {
    if (!was || !now || was === now) return;
    now.focus({ preventScroll: true });
    if (place && now.matches(text)) now.setSelectionRange(...place);
  };
}
