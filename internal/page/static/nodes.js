// Nodes, their BGP sessions, and conflicts.

import { h } from './dom.js';
import { t, word } from './strings.js';
import { badge, sign, time } from './format.js';
import { natural, pager, row, table } from './table.js';
import { up } from './findings.js';

const size = 50;

const byName = (list) => list.map((n) => [natural(n.name), n]).sort((a, b) => (a[0] < b[0] ? -1 : 1)).map(([, n]) => n);

// nodes describes what each node owns and what keeps it from owning more. view is {sort, page}, again draws it anew.
export function nodes(state, view, again) {
  if (state.nodes.size === 0) return h('p', { class: 'empty' }, t('noNodes'));
  view.sort ??= { by: 'node', down: false };
  view.page ??= 0;
  const columns = [
    { id: 'node', title: t('node'), sortable: true }, { id: 'state', title: t('state'), sortable: true }, { id: 'owned', title: t('owned'), sortable: true },
    { id: 'remarks', title: t('remarks') }, { id: 'speaker', title: t('speaker') }, { id: 'members', title: t('members') }];
  const rank = { node: () => 0, state: trouble, owned: (n) => -n.owned }[view.sort.by];
  const all = byName([...state.nodes.values()]);
  if (view.sort.by !== 'node') all.sort((a, b) => rank(a) - rank(b));
  if (view.sort.down) all.reverse();
  const last = Math.max(0, Math.ceil(all.length / size) - 1);
  view.page = Math.min(view.page, last);
  const most = Math.max(1, ...all.map((n) => n.owned));
  const rows = all.slice(view.page * size, (view.page + 1) * size)
    .map((n, i) => nodeRow(n, view.page * size + i, columns, most, all.length));
  return [
    table({ caption: t('nodesCaption'), columns, rows, total: all.length, sort: view.sort, className: 'nodes', onSort: (sort) => { view.sort = sort; again(); } }),
    pager({ page: view.page, size, total: all.length, onPage: (page) => { view.page = page; again(); } }),
  ];
}

const trouble = (n) => (n.ready ? 0 : -8) + (n.speaker === 'running' ? 0 : -4) + (n.suppressed ? -2 : 0) + (n.holds?.length > 0 ? -1 : 0);

function nodeRow(n, index, columns, most, all) {
  const remarks = [
    n.suppressed && h('div', { class: 'one', key: 'suppressed' }, badge('warning', t('suppressed')), ' ',
      h('span', null, t('suppressedWhy', n.suppressed.penalty), ' ', time(n.suppressed.until)),
      n.suppressed.by?.length > 0 && h('span', { class: 'beside' }, t('suppressedBy', some(n.suppressed.by)))),
    (n.holds ?? []).map((hold) => h('div', { class: 'one', key: hold.kind }, badge('note', word('hold', hold.kind)), ' ', hold.why)),
    n.standingIn > 0 && h('div', { class: 'one', key: 'standin' }, t('standingIn', n.standingIn)),
  ];
  const running = n.speaker === 'running';
  return row({
    key: n.name, index, columns, className: n.ready ? '' : 'bad',
    cells: [
      n.name,
      [badge(n.ready ? 'ok' : 'error', n.ready ? t('ready') : t('notReady')), !n.ready && n.why && h('p', { class: 'why' }, n.why)],
      [h('span', { class: 'amount' }, n.owned > 0 ? h('a', { href: `#services?node=${encodeURIComponent(n.name)}`, title: t('showOwned', n.name) }, String(n.owned)) : '0'),
        h('svg', { class: 'share', viewBox: '0 0 100 8', preserveAspectRatio: 'none', 'aria-hidden': 'true', focusable: 'false' }, h('rect', { class: 'fill', width: Math.round((n.owned / most) * 100), height: 8 }))],
      remarks.flat().some(Boolean) ? remarks : h('span', { class: 'nothing dash' }, '–'),
      [running ? h('span', null, word('speaker', n.speaker)) : badge(n.speaker === 'lost' ? 'error' : 'warning', word('speaker', n.speaker)),
        n.version && h('span', { class: 'beside' }, n.version), !running && n.speakerWhy && h('p', { class: 'why' }, n.speakerWhy)],
      n.members > 0 ? t('of', n.members, all) : h('span', { class: 'nothing dash' }, '–'),
    ],
  });
}

const some = (names) => names.slice(0, 3).join(', ') + (names.length > 3 ? `, ${t('addressesMore', names.length - 3)}` : '');

// sessions describes the matrix of nodes and peers.
export function sessions(state, view, again) {
  if (state.peers.size === 0) return h('p', { class: 'empty' }, t('noSessions'));
  const peers = byName([...state.peers.values()]);
  const names = new Set([...state.sessions.values()].map((s) => s.node));
  let list = byName([...names].map((name) => ({ name })));
  const down = (name) => peers.some((p) => { const s = state.sessions.get(`${name}/${p.name}`); return s && !up(s); });
  if (view.onlyDown) list = list.filter((n) => down(n.name));
  view.page = Math.min(view.page ?? 0, Math.max(0, Math.ceil(list.length / size) - 1));
  const columns = [{ id: 'node', title: t('node') }, ...peers.map((p) => ({ id: `peer-${p.name}`, title: p.name, content: peerHeader(p) }))];
  const rows = list.slice(view.page * size, (view.page + 1) * size).map((n, i) => row({
    key: n.name, index: view.page * size + i, columns, cells: [n.name, ...peers.map((p) => cell(state.sessions.get(`${n.name}/${p.name}`)))],
  }));
  return [
    h('p', { class: 'choice', key: 'choice' }, h('label', null,
      h('input', { type: 'checkbox', id: 'only-down', checked: Boolean(view.onlyDown), onchange: (e) => { view.onlyDown = e.target.checked; view.page = 0; again(); } }), ' ', t('onlyDown'))),
    rows.length === 0 ? h('p', { class: 'empty', key: 'none' }, t('allUp'))
      : h('div', { class: 'scroll', key: 'scroll', tabindex: peers.length > 4 ? '0' : null, role: peers.length > 4 ? 'region' : null, 'aria-label': peers.length > 4 ? t('sessionsCaption') : null },
        table({ caption: t('sessionsCaption'), columns, rows, total: list.length, className: 'matrix' })),
    pager({ page: view.page, size, total: list.length, onPage: (page) => { view.page = page; again(); } }),
  ];
}

const peerHeader = (p) => [
  h('span', { class: 'name' }, p.name),
  h('span', { class: 'beside' }, t('peerLine', p.address, word('asn', p.asn))),
  h('span', { class: 'beside' }, t('established', p.established, p.nodes), p.bfd && `${t('comma')}BFD`)];

function cell(s) {
  if (!s) return h('span', { class: 'nothing', title: t('notSelectedTitle') }, t('notSelected'));
  const established = s.state === 'Established';
  const unknown = s.stale || !s.state;
  const kind = unknown ? 'note' : established ? (s.reason ? 'warning' : 'ok') : 'error';
  const why = s.message || (!established && s.lastError);
  return [
    badge(kind, unknown ? t('stale') : established ? t('up') : s.state),
    h('span', { class: 'beside' }, unknown ? [s.state && t('was', s.state)] : [s.since && time(s.since), established && t('prefixes', s.prefixes), s.bfd && t('bfd', s.bfd)].filter(Boolean).flatMap((x, i) => (i === 0 ? [x] : [t('comma'), x]))),
    why && h('p', { class: 'why' }, s.reason && h('strong', null, `${s.reason}: `), why),
  ];
}

// conflicts describes the addresses that foreign hosts use.
export function conflicts(state) {
  if (state.conflicts.size === 0) return h('p', { class: 'empty' }, sign('ok'), t('noConflicts'));
  const columns = [{ id: 'address', title: t('address') }, { id: 'hardware', title: t('hardware') }, { id: 'seen', title: t('seenBy') },
    { id: 'service', title: t('service') }, { id: 'done', title: t('conflictState') }, { id: 'age', title: t('age') }];
  const rows = [...state.conflicts.entries()].sort((a, b) => b[1].since - a[1].since || (a[0] < b[0] ? -1 : 1)).map(([key, c]) => row({
    key, columns, cells: [
      h('span', { class: 'address' }, c.address), h('span', { class: 'address' }, c.hardwareAddress || '–'), [c.node, c.interface && ` (${c.interface})`], c.service || '–',
      badge(c.detected ? 'warning' : 'error', c.detected ? t('beforeAnnounced') : t('afterAnnounced')), time(c.since)],
  }));
  return table({ caption: t('conflictsCaption'), columns, rows, className: 'conflicts' });
}
