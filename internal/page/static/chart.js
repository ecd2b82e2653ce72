// A pool's usage over time: steps as an area, and the same in words below.

import { h } from './dom.js';
import { t } from './strings.js';
import { count, exact, now, shortClock } from './format.js';

const width = 600;
const height = 72;

// chart describes the usage of a pool, of both families where it has both.
export function chart(pool, steps) {
  if (steps.length === 0) return null;
  const end = Math.max(now(), steps[steps.length - 1][0] + 1000);
  // Less than 10 minutes would be a line of one minute stretched over all.
  const begin = Math.min(steps[0][0], end - 600e3);
  const from = Math.max(begin, end - 24 * 3600e3);
  const families = [pool.ipv4 && ['IPv4', 1], pool.ipv6 && ['IPv6', 2]].filter(Boolean);
  const top = nice(Math.max(1, ...steps.flatMap((s) => families.map(([, i]) => s[i]))));
  const x = (ms) => Math.round(((Math.max(ms, from) - from) / (end - from)) * width * 10) / 10;
  const y = (n) => Math.round((height - (n / top) * (height - 4)) * 10) / 10;
  const line = (i) => steps.map((s, at) => (at === 0 ? `M${x(s[0])} ${y(s[i])}` : `H${x(s[0])}V${y(s[i])}`)).join('') + `H${width}`;
  const words = families.map(([name, i]) => inWords(name, steps.map((s) => s[i])));
  return h('figure', { class: 'chart', key: 'chart' },
    h('div', { class: 'plot' },
      h('div', { class: 'scale', 'aria-hidden': 'true' }, h('span', null, count(top)), h('span', null, '0')),
      h('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `${t('usageTitle', pool.name, exact(steps[0][0]))} ${words.join('. ')}.` },
        h('path', { class: 'grid', d: `M0 ${y(top)}H${width}M0 ${y(top / 2)}H${width}M0 ${height}H${width}` }),
        families.length > 0 && h('path', { class: 'area', d: `${line(families[0][1])}V${height}H${x(steps[0][0])}Z` }),
        families.map(([name, i], at) => h('path', { key: name, class: at === 0 ? 'curve' : 'curve second', d: line(i) }))),
      h('div', { class: 'axis', 'aria-hidden': 'true' }, h('span', null, shortClock(from)), h('span', null, t('chartNow')))),
    h('figcaption', null, words.map((w, at) => h('span', { class: at === 0 ? 'key' : 'key second' }, w))));
}

function inWords(family, values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const last = values[values.length - 1];
  return low === high ? t('usageNow', family, count(last)) : t('usageChange', family, count(values[0]), count(last), count(low), count(high));
}

// nice is the least round number that is not below n.
function nice(n) {
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((f) => f * power).find((f) => f >= n);
}
