// Which Services are shown, and in which order. No document is touched here.

import { modes, unanswered } from './findings.js';
import { natural, numeric } from './table.js';
import { word } from './strings.js';

// fields are what the address of the page keeps of the filter.
export const fields = ['q', 'status', 'namespace', 'pool', 'node'];

const ranks = { pending: '0', partial: '1', assigned: '2' };

// What Services sort by. Of equals the name decides, as kubectl sorts it.
const keys = {
  service: () => '',
  status: (s) => ranks[s.status],
  address: (s) => numeric(s.addresses?.[0]?.address),
  pool: (s) => s.addresses?.[0]?.pool || '~',
  mode: (s) => (s.addresses?.length > 0 ? modes(s.addresses[0]).join() : '~'),
  owner: (s) => natural(s.addresses?.[0]?.owner || '~'),
  age: (s) => String(9e15 - (s.since || s.created)).padStart(16, '0'),
};

// What is looked for in a Service is kept with it: an update is another object.
function textOf(service) {
  service.text ??= [`${service.namespace}/${service.name}`, service.status, service.reason, service.message, service.local && 'local',
    ...(service.addresses ?? []).flatMap((a) => [a.address, a.pool, a.owner, a.standIn, a.layer2 && 'layer2', a.routes?.length > 0 && 'bgp'])]
    .filter(Boolean).join('\n').toLowerCase();
  return service.text;
}

// select returns the Services that match, sorted.
export function select(state, filter, sort) {
  const words = (filter.q ?? '').toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = [];
  const by = keys[sort.by] ?? keys.status;
  for (const [name, s] of state.services) {
    if (filter.namespace && s.namespace !== filter.namespace) continue;
    if (filter.status === 'unanswered') {
      if (!(s.addresses ?? []).some((a) => unanswered(state, a))) continue;
    } else if (filter.status && s.status !== filter.status) continue;
    if (filter.pool && !(s.addresses ?? []).some((a) => a.pool === filter.pool)) continue;
    if (filter.node && !(s.addresses ?? []).some((a) => a.owner === filter.node || a.standIn === filter.node)) continue;
    if (words.length > 0) {
      const text = textOf(s);
      if (!words.every((w) => text.includes(w))) continue;
    }
    chosen.push({ key: by(s), name, s });
  }
  const down = sort.down ? -1 : 1;
  chosen.sort((a, b) => (a.key === b.key ? (a.name < b.name ? -1 : 1) : a.key < b.key ? -1 : 1) * down);
  return chosen.map((c) => c.s);
}

// choices are the namespaces, pools and nodes that a filter can name.
export function choices(state) {
  const namespaces = new Set();
  for (const s of state.services.values()) namespaces.add(s.namespace);
  const sorted = (names) => [...names].map((n) => [natural(n), n]).sort((a, b) => (a[0] < b[0] ? -1 : 1)).map(([, n]) => n);
  return { namespace: sorted(namespaces), pool: sorted(state.pools.keys()), node: sorted(state.nodes.keys()) };
}

// modeWords are an address's modes as they are shown.
export const modeWords = (address) => modes(address).map((m) => word('mode', m)).join(' + ');
