// The state as the controller sends it, and the connection that it comes over. No document is touched here.

const tables = ['usage', 'pools', 'services', 'nodes', 'peers', 'sessions', 'routes', 'takeovers', 'conflicts', 'problems'];

// emptyState is the state before the first snapshot.
export function emptyState() {
  const state = { about: null };
  for (const table of tables) state[table] = new Map();
  return state;
}

// fromSnapshot is the state that an event "snapshot" says.
export function fromSnapshot(snapshot) {
  const state = emptyState();
  state.about = snapshot.about;
  for (const table of tables) for (const key in snapshot[table]) state[table].set(key, snapshot[table][key]);
  return state;
}

// apply makes of the state what an event "change" says: null takes an entry away.
export function apply(state, change) {
  if (change.about) state.about = change.about;
  for (const table of tables) {
    if (table === 'usage') continue;
    for (const [key, value] of Object.entries(change[table] ?? {})) {
      if (value !== null) state[table].set(key, value);
      else state[table].delete(key);
      if (value === null && table === 'pools') state.usage.delete(key);
    }
  }
  for (const [pool, steps] of Object.entries(change.usage ?? {})) state.usage.set(pool, join(state.usage.get(pool) ?? [], steps));
}

// join adds steps to a pool's usage. The first replaces the last one that there was, if that is of its time.
function join(has, steps) {
  if (has.length > 0 && has[has.length - 1][0] === steps[0][0]) has = has.slice(0, -1);
  const all = has.concat(steps);
  const begin = all[all.length - 1][0] - 24 * 3600e3;
  const first = all.findLastIndex((step) => step[0] <= begin);
  return first > 0 ? all.slice(first) : all;
}

// What the stream may be silent for: the server says something each 5 s.
const patience = 16e3;

// Connection keeps the stream open. It calls onEvent(name, text) for each event, and onState() when state changes, which
// is "connecting", "live" or "reconnecting". heard is when the controller was last heard.
export class Connection {
  constructor(url, onEvent, onState) {
    Object.assign(this, { url, onEvent, onState, state: 'connecting', heard: 0, lost: 0, delay: 500, source: null });
  }

  open() {
    this.source?.close();
    const source = new EventSource(this.url);
    this.source = source;
    for (const name of ['snapshot', 'change', 'beat']) {
      source.addEventListener(name, (event) => {
        this.heard = Date.now();
        this.delay = 500;
        this.onEvent(name, event.data);
        // A stream is live once the state is known.
        if (this.state !== 'live' && name !== 'beat') this.turn('live');
      });
    }
    source.onerror = () => {
      if (source !== this.source) return;
      this.turn(this.heard ? 'reconnecting' : 'connecting');
      // The browser's own attempts have no bound, and none follow an answer that is not a stream.
      source.close();
      this.again();
    };
    clearTimeout(this.opening);
    this.opening = setTimeout(() => { if (this.state !== 'live') { source.close(); this.again(); } }, 60e3);
  }

  again() {
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.open(), this.delay);
    this.delay = Math.min(this.delay * 2, 5000);
  }

  // check is called each second: a stream that is silent for long is gone, though nobody said so.
  check() {
    if (this.state === 'live' && Date.now() - this.heard > patience) {
      this.turn('reconnecting');
      this.open();
    }
  }

  turn(state) {
    if (this.state === state) return;
    if (state !== 'live') this.lost = Date.now();
    this.state = state;
    this.onState();
  }
}
