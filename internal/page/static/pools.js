// Pools: how full they are, and were.

import { h } from './dom.js';
import { t, word } from './strings.js';
import { badge, count } from './format.js';
import { chart } from './chart.js';

const most = 9;
const mostRanges = 3;

// pools describes a card for each pool, the fullest first.
export function pools(state, wide, widen) {
  if (state.pools.size === 0) return h('p', { class: 'empty' }, t('noPools'));
  const all = [...state.pools.values()].map((p) => ({ p, full: fullness(p) }))
    .sort((a, b) => b.full - a.full || (a.p.name < b.p.name ? -1 : 1)).map(({ p }) => p);
  const shown = wide ? all : all.slice(0, most);
  return [
    h('div', { class: 'cards' }, shown.map((p) => card(p, state.usage.get(p.name) ?? []))),
    shown.length < all.length && h('p', { key: 'more' }, h('button', { type: 'button', onclick: widen }, t('showAllPools', all.length))),
  ];
}

// part is which share of a family's addresses is in use, between 0 and 1.
function part(f) {
  const total = BigInt(f.total);
  return total === 0n ? 0 : Number((BigInt(f.assigned) * 1000000n) / total) / 1e6;
}

const families = (p) => [['IPv4', p.ipv4], ['IPv6', p.ipv6]].filter(([, f]) => f);
const fullness = (p) => Math.max(0, ...families(p).map(([, f]) => part(f)));

function card(p, steps) {
  const id = `pool-${p.name}`;
  return h('article', { key: p.name, class: 'card', 'aria-labelledby': id },
    h('header', null,
      h('h3', { id }, p.name),
      h('p', { class: 'tags' },
        (p.modes ?? []).map((m) => h('span', { class: 'tag', key: m }, word('mode', m))),
        !(p.modes?.length > 0) && badge('warning', t('notAdvertised')),
        p.disabled && badge('note', t('disabled')),
        p.onRequest && h('span', { class: 'tag' }, t('onRequest')))),
    h('p', { class: 'ranges' }, h('span', { class: 'unseen' }, `${t('ranges')}: `),
      p.ranges.slice(0, mostRanges).map((r) => h('span', { class: 'address' }, r)),
      p.ranges.length > mostRanges && h('span', null, t('moreRanges', p.ranges.length - mostRanges))),
    p.for && h('p', { class: 'for' }, t('poolFor', p.for)),
    families(p).map(([name, f]) => meter(name, f)),
    chart(p, steps));
}

function meter(family, f) {
  const share = part(f);
  const level = BigInt(f.available) === 0n ? 'full' : BigInt(f.available) * 20n <= BigInt(f.total) ? 'nearly' : 'fine';
  return h('div', { class: `meter ${level}`, key: family },
    h('p', null,
      h('strong', null, family), ' ', h('span', null, t('used', count(f.assigned), count(f.total))),
      h('span', { class: 'rest' }, [t('free', count(f.available)), f.retained > 0 && t('retained', count(f.retained))].filter(Boolean).join(t('comma')))),
    h('svg', { class: 'track', viewBox: '0 0 1000 8', preserveAspectRatio: 'none', 'aria-hidden': 'true', focusable: 'false' },
      h('rect', { class: 'fill', x: 0, y: 0, width: f.assigned > 0 ? Math.max(4, Math.round(share * 1000)) : 0, height: 8 })));
}
