// What is wrong, or worth a look, in words: pure functions of the state.

import { t } from './strings.js';
import { duration, now } from './format.js';
import { events, nodesOf } from './events.js';

// modes are those that an address is advertised in.
export const modes = (address) => [address.layer2 && 'layer2', address.routes?.length > 0 && 'bgp'].filter(Boolean);

// routed is how many nodes advertise an address by BGP. Several advertisements may be for it.
export const routed = (state, address) => Math.max(0, ...(address.routes ?? []).map((r) => state.routes.get(r)?.nodes ?? 0));

// unanswered is whether nobody leads packets for an address to the cluster.
export const unanswered = (state, address) => !address.owner && !address.standIn && !address.unlisted && routed(state, address) === 0;

// serves is whether a node can own addresses.
export const serves = (node) => node.ready && node.speaker === 'running' && !node.suppressed
  && !(node.holds ?? []).some((hold) => hold.kind !== 'cordoned');

// up is whether a session is known to be established.
export const up = (session) => session.state === 'Established' && !session.stale;

const severities = ['error', 'warning', 'note'];

// findings are {key, severity, text, detail, since, link}, the worst first. A detail is as Kubernetes' objects say it.
export function findings(state) {
  const found = [];
  const find = (key, severity, text, more) => found.push({ key, severity, text, ...more });
  if (state.about?.unreached) find('unreached', 'error', t('findUnreached'), { detail: state.about.unreached });
  if (state.about && !state.about.leader) find('leader', 'error', t('findNoLeader'));
  takeovers(state, find);
  conflicts(state, find);
  services(state, find);
  nodes(state, find);
  sessions(state, find);
  pools(state, find);
  const told = new Set(found.map((f) => f.key));
  const groups = new Map(); // what is wrong with one speaker may be so with all of them
  for (const [key, p] of state.problems) {
    if (saidElsewhere(p, key, told)) continue;
    const id = p.kind === 'Speaker' ? `${p.kind}/${p.reason}` : key;
    const group = groups.get(id);
    if (!group) groups.set(id, { ...p, more: 0 });
    else { group.more++; group.since = Math.min(group.since, p.since); }
  }
  for (const [id, p] of groups) {
    find(id, p.severity === 'error' ? 'error' : 'warning', `${p.kind} ${p.name}${p.more ? ` + ${p.more}` : ''}: ${p.reason}`,
      { detail: p.message, since: p.since, link: sections[p.kind] });
  }
  return found.sort((a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity));
}

// Where on the page an object is.
const sections = { IPAddressPool: '#pools', BGPPeer: '#sessions', Speaker: '#nodes' };

// saidElsewhere is whether one of the findings says already what a condition says.
function saidElsewhere(p, key, told) {
  switch (key) {
    case `IPAddressPool/${p.name}/Exhausted`: return told.has(`full/${p.name}/IPv4`) || told.has(`full/${p.name}/IPv6`);
    case `Speaker/${p.name}/AddressConflict`: return told.has('conflicts');
    case `Speaker/${p.name}/Ready`: return told.has(`ready/${p.name}`) || told.has(`speaker/${p.name}`);
    default: return p.kind === 'BGPPeer' && p.reason === 'NotEstablished' && told.has(`peer/${p.name}`);
  }
}

function conflicts(state, find) {
  const used = [...new Set([...state.conflicts.values()].map((c) => c.address))].sort();
  if (used.length === 0) return;
  find('conflicts', 'error', t('findConflict', used.length, used[0]),
    { since: Math.min(...[...state.conflicts.values()].map((c) => c.since)), link: '#conflicts' });
}

function services(state, find) {
  const groups = new Map();
  let unowned = 0;
  let unadvertised = 0;
  for (const s of state.services.values()) {
    if (s.status !== 'assigned') {
      const key = `${s.status}/${s.reason ?? ''}`;
      const group = groups.get(key);
      if (!group) groups.set(key, { count: 1, of: s, since: s.since || s.created });
      else { group.count++; group.since = Math.min(group.since, s.since || s.created); }
    }
    for (const a of s.addresses ?? []) {
      if (a.owner) continue; // nearly all
      if (modes(a).length === 0) unadvertised++;
      else if (unanswered(state, a)) unowned++;
    }
  }
  for (const [key, { count, of, since }] of groups) {
    const query = of.reason ? `&q=${encodeURIComponent(of.reason)}` : '';
    find(key, of.status === 'pending' ? 'error' : 'warning', t(of.status === 'pending' ? 'findPending' : 'findPartial', count, of.reason),
      { detail: count === 1 ? `${of.namespace}/${of.name}: ${of.message ?? ''}` : of.message, since, link: `#services?status=${of.status}${query}` });
  }
  if (unowned > 0) find('unowned', 'error', t('findUnowned', unowned), { link: '#services?status=unanswered' });
  if (unadvertised > 0) find('unadvertised', 'error', t('findUnadvertised', unadvertised), { link: '#services?status=unanswered' });
}

function nodes(state, find) {
  for (const n of state.nodes.values()) {
    const link = '#nodes';
    if (!n.ready) find(`ready/${n.name}`, 'error', t('findNotReady', n.name), { detail: n.why, link });
    else if (n.speaker === 'lost') find(`speaker/${n.name}`, 'error', t('findSpeakerLost', n.name), { detail: n.speakerWhy, link });
    else if (n.speaker === 'stopped') find(`speaker/${n.name}`, 'warning', t('findSpeakerStopped', n.name), { detail: n.speakerWhy, link });
    else if (n.speaker === 'none') find(`speaker/${n.name}`, 'note', t('findSpeakerNone', n.name), { detail: n.speakerWhy, link });
    if (n.suppressed) find(`suppressed/${n.name}`, 'warning', t('findSuppressed', n.name), { link });
    const draining = (n.holds ?? []).find((hold) => hold.kind === 'draining');
    if (draining) find(`draining/${n.name}`, 'note', t('findDraining', n.name, n.owned), { detail: draining.why, link });
  }
}

// How long a takeover after a failure is told of.
const recent = 15 * 60e3;

function takeovers(state, find) {
  for (const e of events(state.takeovers)) {
    if (e.cause !== 'Lost' || !e.from || now() - e.time > recent) continue;
    find(`lost/${e.key}`, 'note', t('findTakenOver', e.from, e.count, nodesOf(e), duration(e.duration)), { since: e.time, link: '#takeovers' });
  }
}

function sessions(state, find) {
  const byPeer = new Map();
  for (const s of state.sessions.values()) {
    if (!byPeer.has(s.peer)) byPeer.set(s.peer, []);
    byPeer.get(s.peer).push(s);
  }
  for (const [peer, list] of byPeer) {
    // Of a node whose speaker is gone, that is what is wrong.
    const down = list.filter((s) => !up(s) && !s.stale && (s.state || state.nodes.get(s.node)?.speaker === 'running'));
    if (down.length === 0) continue;
    const why = down.find((s) => s.message || s.lastError);
    find(`peer/${peer}`, 'error', t('findSessions', peer, down.length, list.length), {
      detail: why && `${why.node}: ${why.message || why.lastError}`,
      since: Math.min(...down.map((s) => s.since || Infinity)), link: '#sessions',
    });
  }
}

function pools(state, find) {
  for (const p of state.pools.values()) {
    for (const [family, f] of [['IPv4', p.ipv4], ['IPv6', p.ipv6]]) {
      if (!f || BigInt(f.total) === 0n) continue;
      const free = BigInt(f.available);
      if (free === 0n) find(`full/${p.name}/${family}`, 'warning', t('findPoolFull', p.name, family), { link: '#pools' });
      else if (free * 20n <= BigInt(f.total)) find(`nearly/${p.name}/${family}`, 'note', t('findPoolNearlyFull', p.name, family, String(free)), { link: '#pools' });
    }
  }
}
