// Times, numbers and small signs, in the reader's language and zone.

import { h } from './dom.js';
import { t, locale } from './strings.js';

let exactTimes = false;

// showExact says whether times are given as clock times instead of "3 min ago".
export function showExact(on) { exactTimes = on; }
export const showsExact = () => exactTimes;

// The controller's clock, which all times are by, is so far ahead of the reader's.
let ahead = 0;

// setClock says what time it is for the controller.
export function setClock(ms) { if (ms) ahead = ms - Date.now(); }
export const now = () => Date.now() + ahead;

const formats = new Map();

function format(options) {
  const key = locale() + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(locale(), options));
  return formats.get(key);
}

// exact is a point in time in full, with seconds and the zone.
export const exact = (ms) => format({ dateStyle: 'medium', timeStyle: 'long' }).format(ms);

// clock is a point in time as short as it can be: without the date if it was within the last day.
export function clock(ms) {
  const near = Math.abs(now() - ms) < 20 * 3600e3;
  return format(near ? { hour: '2-digit', minute: '2-digit', second: '2-digit' }
    : { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' }).format(ms);
}

// shortClock is an hour and a minute.
export const shortClock = (ms) => format({ hour: '2-digit', minute: '2-digit' }).format(ms);

// relative is how long ago a time was, or how long it is until then.
export function relative(ms, from = now()) {
  const seconds = Math.round(Math.abs(from - ms) / 1000);
  const past = ms <= from;
  if (seconds < 1) return t('now');
  if (seconds < 60) return t(past ? 'secondsAgo' : 'inSeconds', seconds);
  if (seconds < 3600) return t(past ? 'minutesAgo' : 'inMinutes', Math.floor(seconds / 60));
  if (seconds < 48 * 3600) return t(past ? 'hoursAgo' : 'inHours', Math.floor(seconds / 3600));
  return t(past ? 'daysAgo' : 'inDays', Math.floor(seconds / 86400));
}

const timeText = (ms) => (exactTimes ? clock(ms) : relative(ms));

// time describes a <time>, whose text tick keeps true.
export function time(ms, attributes) {
  if (!ms) return null;
  return h('time', { datetime: new Date(ms).toISOString(), title: exact(ms), 'data-at': String(ms), ...attributes }, timeText(ms));
}

// tick brings every relative time of the document up to date.
export function tick() {
  for (const element of document.querySelectorAll('time[data-at]')) {
    const text = timeText(Number(element.dataset.at));
    const node = element.firstChild;
    if (node && node.data !== text) node.data = text;
  }
}

// duration is a number of milliseconds in words.
export const duration = (ms) => (ms < 1000 ? t('milliseconds', ms) : t('seconds', (ms / 1000).toLocaleString(locale(), { maximumFractionDigits: ms < 10000 ? 1 : 0 })));

// count is a number with its thousands set apart; one in a string may be greater than a JavaScript number can be. From
// 10^12 on, as IPv6 has them, it is a power.
export function count(value) {
  const big = BigInt(value);
  if (big < 1000000000000n) return big.toLocaleString(locale());
  let bits = big.toString(2).length - 1;
  const rest = big - (1n << BigInt(bits));
  // Nearly the next power, as what is left of a /64 is.
  if (rest * 100n > (1n << BigInt(bits)) * 95n) bits++;
  return `${rest === 0n ? '' : '≈ '}2${String(bits).replace(/\d/g, (d) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[d])}`;
}

const signs = {
  ok: ['M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Z', 'M4.8 8.3 7 10.5l4.2-4.8'],
  error: ['M5.1 1h5.8L15 5.1v5.8L10.9 15H5.1L1 10.9V5.1Z', 'M8 4.3v4.6M8 11.3v.4'],
  warning: ['M8 1.3 15.3 14.5H.7Z', 'M8 6v4M8 12.2v.3'],
  note: ['M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Z', 'M8 7.3v4M8 4.6v.4'],
  wait: ['', 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8ZM8 4.5V8l2.5 1.8'],
  half: ['', 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8ZM8 2v12M8 5h4.8M8 8h6M8 11h4.8'],
};

// sign is a small picture beside a word that says the same.
export function sign(kind) {
  const [body, line] = signs[kind];
  return h('svg', { class: `sign ${kind}`, viewBox: '0 0 16 16', width: '16', height: '16', 'aria-hidden': 'true', focusable: 'false' },
    body && h('path', { class: 'body', d: body }),
    h('path', { class: body ? 'line inside' : 'line', d: line }));
}

// badge is a word with a sign before it.
export const badge = (kind, text, attributes) => h('span', { class: `badge ${kind}`, ...attributes }, sign(kind), h('span', null, text));

// lines stacks values, the same ones only once if all are.
export function lines(values) {
  const all = values.length > 1 && values.every((v) => typeof v === 'string' && v === values[0]) ? values.slice(0, 1) : values;
  return all.map((v) => h('div', { class: 'one' }, v));
}
