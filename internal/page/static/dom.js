// Descriptions of elements, and bringing the document in line with them. Elements that stay are the same elements, so
// that focus, selection and scrolling survive an update. Text is only ever set as text: nothing is parsed as HTML.

const svgNamespace = 'http://www.w3.org/2000/svg';

// What an element was last brought in line with.
const described = new WeakMap();

// h describes an element. Attributes: null and false leave one out; on... are handlers; key tells siblings apart that
// come, go and move.
export function h(tag, attributes, ...children) {
  return { tag, key: attributes?.key, attributes: attributes ?? {}, children };
}

// render makes the children of parent those that are described.
export function render(parent, ...children) {
  const wanted = children.flat(Infinity).filter((c) => c != null && c !== false && c !== true && c !== '');
  const keyed = new Map();
  const keys = new Set();
  for (const w of wanted) if (w.key !== undefined) keys.add(w.key);
  if (keys.size > 0) {
    for (const node of parent.children) {
      const key = described.get(node)?.key;
      if (key !== undefined) keyed.set(key, node);
    }
  }
  let present = parent.firstChild;
  const unwanted = (node) => {
    const key = described.get(node)?.key;
    return key !== undefined && !keys.has(key);
  };
  for (const w of wanted) {
    while (present && unwanted(present)) present = remove(present);
    if (typeof w !== 'object') {
      const text = String(w);
      if (present?.nodeType === Node.TEXT_NODE) {
        if (present.data !== text) present.data = text;
        present = present.nextSibling;
      } else {
        parent.insertBefore(document.createTextNode(text), present);
      }
      continue;
    }
    let node = w.key !== undefined ? keyed.get(w.key) : undefined;
    if (node && node.localName !== w.tag) node = undefined;
    if (w.key === undefined && present?.nodeType === Node.ELEMENT_NODE && present.localName === w.tag
      && described.get(present)?.key === undefined) {
      node = present;
    }
    if (node === undefined) {
      node = w.tag === 'svg' || parent.namespaceURI === svgNamespace
        ? document.createElementNS(svgNamespace, w.tag) : document.createElement(w.tag);
      parent.insertBefore(node, present);
    } else if (node === present) {
      present = present.nextSibling;
    } else {
      parent.insertBefore(node, present);
    }
    update(node, w);
  }
  while (present) present = remove(present);
}

function remove(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

function update(node, wanted) {
  const before = described.get(node)?.attributes ?? {};
  const now = wanted.attributes;
  for (const name in before) if (!(name in now)) set(node, name, null);
  for (const name in now) if (now[name] !== before[name] || name === 'value' || name === 'checked') set(node, name, now[name]);
  described.set(node, wanted);
  render(node, wanted.children);
  // A select knows its value only once it has its options.
  if (wanted.tag === 'select' && (node.selectedIndex < 0 || node.value !== now.value)) node.value = now.value;
}

function set(node, name, value) {
  if (name === 'key') return;
  if (name.startsWith('on')) {
    node[name] = value;
  } else if ((name === 'value' && node.localName !== 'option') || name === 'checked') {
    if (node[name] !== value) node[name] = value;
  } else if (value == null || value === false) {
    node.removeAttribute(name);
  } else {
    node.setAttribute(name, value === true ? '' : value);
  }
}

// steady changes the document with what the reader looks at left where it is: the row under the pointer, else what has
// the focus, else what is at the top of the window.
export function steady(change) {
  const anchor = lookedAt();
  const top = anchor?.getBoundingClientRect().top;
  change();
  if (!anchor?.isConnected) return;
  const moved = anchor.getBoundingClientRect().top - top;
  if (Math.abs(moved) >= 1) window.scrollBy({ top: moved, behavior: 'instant' });
}

let pointer = null;
document.addEventListener('pointermove', (e) => { pointer = e.pointerType === 'mouse' ? { x: e.clientX, y: e.clientY } : null; }, { passive: true });
document.documentElement.addEventListener('pointerleave', () => { pointer = null; });

function lookedAt() {
  const visible = (e) => { const r = e.getBoundingClientRect(); return r.bottom > 0 && r.top < innerHeight; };
  const part = (e) => e?.closest('main tr, main li, main article, main h1, main h2, main section');
  const under = pointer && part(document.elementFromPoint(pointer.x, pointer.y));
  if (under) return under;
  const focused = document.activeElement;
  if (focused && focused !== document.body && focused.closest('main section') && visible(focused)) return focused;
  if (scrollY === 0) return null;
  return part(document.elementFromPoint(innerWidth / 2, Math.min(120, innerHeight / 3)));
}

// held is whether the pointer or the keyboard is inside an element, so that rows there are to stay where they are.
export function held(element) {
  const over = pointer && document.elementFromPoint(pointer.x, pointer.y);
  return Boolean(over && element.contains(over)) || (element.contains(document.activeElement) && document.hasFocus());
}

// measured does something and leaves in the browser's timeline how long it took. A browser keeps that until it is told to
// let go, and a page may stay open for months.
export function measured(name, act) {
  if (performance.getEntriesByType('measure').length >= mostMeasures) performance.clearMeasures();
  const start = performance.now();
  act();
  performance.measure(`fairlead ${name}`, { start });
}

const mostMeasures = 200;
