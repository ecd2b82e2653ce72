// The overview: what is wrong first, then the figures.

import { h } from './dom.js';
import { t, word } from './strings.js';
import { badge, count, sign, time } from './format.js';
import { events } from './events.js';
import { findings, serves, up } from './findings.js';

const most = 12;
const kinds = { error: 'error', warning: 'warning', note: 'note' };

// overview returns the headline's parts, the body's and how many errors there are.
export function overview(state, wide, widen) {
  const all = findings(state);
  const errors = all.filter((f) => f.severity === 'error').length;
  const warnings = all.filter((f) => f.severity === 'warning').length;
  const text = errors + warnings > 0 ? t('wrong', errors, warnings) : t('allWell');
  const headline = [sign(errors > 0 ? 'error' : warnings > 0 ? 'warning' : 'ok'), h('span', null, text)];
  const shown = wide ? all : all.slice(0, most);
  const body = [
    all.length > 0 && h('ul', { class: 'findings' }, shown.map(finding)),
    shown.length < all.length && h('p', { key: 'more' }, h('button', { type: 'button', onclick: widen }, t('more', all.length - shown.length))),
    tiles(state),
  ];
  return { headline, body, text, errors };
}

const finding = (f) => h('li', { key: f.key, class: f.severity },
  badge(kinds[f.severity], word('severity', f.severity)),
  h('div', { class: 'what' },
    h('p', { class: 'sentence' }, f.link ? h('a', { href: f.link }, f.text) : f.text),
    f.detail && h('p', { class: 'detail' }, f.detail)),
  Number.isFinite(f.since) && f.since > 0 ? h('p', { class: 'when' }, time(f.since)) : h('p', { class: 'when' }));

function tiles(state) {
  const services = [...state.services.values()];
  const served = services.filter((s) => s.status === 'assigned').length;
  const assigned = [...state.pools.values()].reduce((sum, p) => sum + (p.ipv4?.assigned ?? 0) + (p.ipv6?.assigned ?? 0), 0);
  const nodes = [...state.nodes.values()];
  const sessions = [...state.sessions.values()];
  const [last] = events(state.takeovers);
  const tile = (href, title, value, more) => h('div', { class: 'tile' },
    h('dt', null, h('a', { href }, title)), h('dd', null, h('span', { class: 'figure' }, value), more && h('span', { class: 'beside' }, more)));
  return h('dl', { class: 'tiles' },
    tile('#services', t('tileServices'), t('of', served, services.length)),
    tile('#pools', t('tileAddresses'), count(assigned)),
    tile('#nodes', t('tileNodes'), t('of', nodes.filter(serves).length, nodes.length)),
    tile('#sessions', t('tileSessions'), state.peers.size === 0 ? t('none') : t('of', sessions.filter(up).length, sessions.length)),
    tile('#takeovers', t('tileTakeover'), last ? time(last.time) : t('none'),
      last && t('tookOver', last.count, last.from)));
}
