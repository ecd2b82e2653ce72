// Takeovers as people tell them: pure functions of the state.

import { natural } from './table.js';

// What nodes take over from the same one for the same cause within this time is one event.
const together = 3000;

// events are the takeovers as people tell them, the newest first: "9 nodes took over 17 addresses from node7".
export function events(takeovers) {
  const sorted = [...takeovers.values()].sort((a, b) => a.time - b.time || (a.node < b.node ? -1 : 1));
  const open = new Map(); // the last event of each former owner and cause
  const all = [];
  for (const x of sorted) {
    const of = `${x.from ?? ''}/${x.cause}`;
    let e = open.get(of);
    if (!e || x.time - e.time > together) {
      e = { key: `${of}/${x.time}`, from: x.from, cause: x.cause, begin: x.time, time: x.time, count: 0, duration: 0, parts: [] };
      open.set(of, e);
      all.push(e);
    }
    e.time = x.time;
    e.count += x.count;
    e.duration = Math.max(e.duration, x.duration);
    e.reason ??= x.reason;
    e.parts.push(x);
  }
  return all.sort((a, b) => b.begin - a.begin);
}

// nodesOf are the names of the nodes of an event.
export const nodesOf = (e) => [...new Set(e.parts.map((x) => x.node))].sort((a, b) => (natural(a) < natural(b) ? -1 : 1));
